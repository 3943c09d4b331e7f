// A real DjStream of its own: real processes, a temporary data folder, a free port.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../..');
const PROGRAM = process.env.DJSTREAM_PROGRAM ?? join(ROOT, 'target/ci/djstream');
export const CONTROL_PROGRAM = process.env.DJSTREAMCTL_PROGRAM ?? join(ROOT, 'target/ci/djstreamctl');

/** A port that nobody listens on at present. */
export function freePort() {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.once('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

/**
 * Waits until `check` answers something true, and answers that; names `what` when it never does.
 * An error that is `final` ends the waiting: it will not go away by itself.
 */
export async function eventually(what, check, { timeoutMs = 30_000, everyMs = 50 } = {}) {
  const end = Date.now() + timeoutMs;
  let last;
  while (Date.now() < end) {
    try {
      const value = await check();
      if (value) return value;
      last = value;
    } catch (error) {
      if (error.final) throw error;
      last = error;
    }
    await new Promise((wake) => setTimeout(wake, everyMs));
  }
  throw new Error(`never came: ${what} (last: ${last instanceof Error ? last.stack : JSON.stringify(last)})`);
}

/** Process ids below this one, at every depth. */
async function descendants(root) {
  const parents = new Map();
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (status) parents.set(Number(pid), Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const below = (pid) => [...parents].filter(([, parent]) => parent === pid).flatMap(([child]) => [child, ...below(child)]);
  return below(root);
}

/** `kill -9`; says whether there still was something to kill. */
function killNow(pid) {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

export class Server {
  /** Starts one and waits until it is ready: over a data folder that is there, or over a new one. */
  static async start({ env = {}, data } = {}) {
    data ??= await mkdtemp(join(tmpdir(), 'djstream-journey-'));
    const server = new Server(data, await freePort(), env);
    await server.up();
    return server;
  }

  constructor(data, port, env) {
    Object.assign(this, { data, port, env, log: [] });
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts the processes; answers the milliseconds until `ready`. */
  async up() {
    const started = performance.now();
    this.process = spawn(
      PROGRAM,
      ['up', '--config', join(ROOT, 'djstream.toml'), '--data', this.data, '--listen', `127.0.0.1:${this.port}`],
      {
        env: {
          ...process.env,
          DJSTREAM_REGISTRATION_POLICY: 'open',
          DJSTREAM_REGISTRATION_PROOF_OF_WORK: 'false',
          DJSTREAM_LIMITS_PER_ADDRESS: 'false',
          ...this.env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const exited = new Promise((done) => this.process.once('exit', (code, signal) => done({ code, signal })));
    this.exited = exited;
    createInterface({ input: this.process.stderr }).on('line', (line) => this.log.push(line));
    const ready = new Promise((done) => {
      createInterface({ input: this.process.stdout }).on('line', (line) => line.startsWith('ready ') && done(line));
    });
    const line = await Promise.race([
      ready,
      exited.then(({ code }) => Promise.reject(new Error(`ended with ${code} before it was ready\n${this.tail()}`))),
    ]);
    if (line !== `ready ${this.url}`) throw new Error(`said ${line}`);
    return performance.now() - started;
  }

  /** Asks it to end, and answers how it ended. */
  async down() {
    this.process.kill('SIGTERM');
    return this.exited;
  }

  /** `kill -9` of every process at once, whatever it is doing; comes back when none is left. */
  async killAll() {
    const all = await descendants(this.process.pid);
    for (const pid of [this.process.pid, ...all]) killNow(pid);
    await this.exited;
    await eventually('all processes have ended', () => all.every((pid) => !existsSync(`/proc/${pid}`)));
  }

  async end() {
    if (this.process?.exitCode === null && this.process.signalCode === null) await this.down();
    await rm(this.data, { recursive: true, force: true });
  }

  tail(lines = 40) {
    return this.log.slice(-lines).join('\n');
  }

  async setupToken() {
    return (await readFile(join(this.data, 'setup-token'), 'utf8')).trim();
  }

  /** Process ids of all that belongs to this server: the supervisor's children by role. */
  async children() {
    const found = [];
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      try {
        const status = await readFile(`/proc/${pid}/stat`, 'utf8');
        const parent = Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]);
        if (parent !== this.process.pid) continue;
        const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
        const index = words.indexOf('--index');
        found.push({ pid: Number(pid), role: index < 0 ? words[1] : `${words[1]}-${words[index + 1]}` });
      } catch {
        // It ended while we looked.
      }
    }
    return found;
  }

  /** Ends every ffmpeg and ffprobe of this server with `kill -9`; answers how many there were. */
  async killTools() {
    let killed = 0;
    for (const pid of await descendants(this.process.pid)) {
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
      if (/^ff(mpeg|probe)/.test(name) && killNow(pid)) killed += 1;
    }
    return killed;
  }

  /** `kill -9` of one process, e.g. `video` or `notification-0`. */
  async kill(role) {
    const child = (await this.children()).find((candidate) => candidate.role === role);
    if (!child) throw new Error(`no process ${role}: ${JSON.stringify(await this.children())}`);
    process.kill(child.pid, 'SIGKILL');
    return child.pid;
  }
}
