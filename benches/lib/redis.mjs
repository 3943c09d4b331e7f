// Redis, appending to its log and syncing before every answer, in a folder of its own.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { eventually, freePort } from '../../tests/lib/server.mjs';

const run = promisify(execFile);

export class Redis {
  static async start() {
    const folder = await mkdtemp(join(tmpdir(), 'djstream-redis-'));
    const redis = new Redis(folder, String(await freePort()));
    const args = ['--port', redis.port, '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always'];
    redis.process = spawn('redis-server', [...args, ...durable], { stdio: 'ignore' });
    redis.ended = new Promise((done) => redis.process.once('exit', done));
    await eventually('redis', () => run('redis-cli', ['-p', redis.port, 'ping']));
    return redis;
  }

  constructor(folder, port) {
    Object.assign(this, { folder, port });
  }

  /** Events a second that 32 clients append to a stream, for about so many seconds. */
  async perSecond(seconds) {
    const event = ['user', '0123456789abcdef', 'video', '0123456789abcdef', 'rating', 'like'];
    const append = ['XADD', 'events', 'MAXLEN', '~', '100000', '*', ...event];
    let wanted = 2000;
    for (;;) {
      const args = ['-p', this.port, '-c', '32', '-P', '1', '-n', String(wanted), '--csv', ...append];
      const started = performance.now();
      const { stdout } = await run('redis-benchmark', args);
      const took = (performance.now() - started) / 1000;
      const rate = Number(stdout.trim().split('\n').at(-1).split(',')[1].replaceAll('"', ''));
      if (took > seconds * 0.6) return rate;
      wanted = Math.ceil(rate * seconds);
    }
  }

  async end() {
    this.process.kill('SIGTERM');
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}
