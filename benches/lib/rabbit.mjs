// RabbitMQ with one quorum queue, in a folder of its own: persistent messages, each confirmed to its publisher.

import { execFile, fork, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import amqp from 'amqplib';

import { eventually, freePort } from '../../tests/lib/server.mjs';

const run = promisify(execFile);
const SERVER = process.env.RABBITMQ_SERVER ?? '/usr/lib/rabbitmq/bin/rabbitmq-server';
const IN_FLIGHT = 2_048;
const PRODUCER_PROCESSES = 4;
const MESSAGE_BYTES = 200;
const QUEUE = 'jobs';

export class Rabbit {
  static async start() {
    const folder = await mkdtemp(join(tmpdir(), 'djstream-rabbit-'));
    const rabbit = new Rabbit(folder);
    await rabbit.up();
    return rabbit;
  }

  constructor(folder) {
    this.folder = folder;
  }

  async up() {
    const [port, distribution, epmd] = [await freePort(), await freePort(), await freePort()];
    await writeFile(join(this.folder, 'plugins'), '[].');
    this.url = `amqp://127.0.0.1:${port}`;
    this.env = {
      ...process.env,
      HOME: this.folder,
      RABBITMQ_NODENAME: `bench-${process.pid}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: join(this.folder, 'data'),
      RABBITMQ_LOG_BASE: join(this.folder, 'log'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(this.folder, 'plugins'),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      ERL_EPMD_PORT: String(epmd),
      ERL_EPMD_ADDRESS: '127.0.0.1',
    };
    this.process = spawn(SERVER, [], { env: this.env, stdio: 'ignore', cwd: this.folder });
    this.ended = new Promise((done) => this.process.once('exit', done));
    await eventually('rabbitmq', () => this.empty(), { timeoutMs: 120_000, everyMs: 500 });
  }

  /** Makes the queue anew, with nothing in it. */
  async empty() {
    const connection = await amqp.connect(this.url);
    const channel = await connection.createChannel();
    await channel.deleteQueue(QUEUE);
    await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await connection.close();
    return true;
  }

  /** Messages a second that were confirmed. */
  async perSecond(seconds) {
    await this.empty();
    const program = join(import.meta.dirname, 'rabbit-producer.mjs');
    const each = String(IN_FLIGHT / PRODUCER_PROCESSES);
    const confirmed = Array.from({ length: PRODUCER_PROCESSES }, () => 0);
    const producers = confirmed.map((_, n) => {
      const producer = fork(program, [this.url, QUEUE, each, String(MESSAGE_BYTES)]);
      producer.on('message', (count) => { confirmed[n] = count; });
      return producer;
    });
    const sum = () => confirmed.reduce((all, one) => all + one, 0);
    await eventually('messages of all producers', () => confirmed.every((count) => count > 0));
    await wait(500);
    const [before, started] = [sum(), performance.now()];
    await wait(seconds * 1000);
    const rate = (sum() - before) / ((performance.now() - started) / 1000);
    await Promise.all(producers.map((producer) => {
      const ended = new Promise((done) => producer.once('exit', done));
      producer.disconnect();
      return ended;
    }));
    return rate;
  }

  async end() {
    this.process.kill('SIGTERM');
    await this.ended;
    await run('epmd', ['-port', this.env.ERL_EPMD_PORT, '-kill'], { env: this.env }).catch(() => {});
    await rm(this.folder, { recursive: true, force: true });
  }
}

const wait = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));
