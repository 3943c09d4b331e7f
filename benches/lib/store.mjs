// The store's own figures: its tests print them, each beside a bare file in the same process.

import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

import { median } from './shared.mjs';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
const PROFILE = process.env.BENCH_PROFILE ?? 'release';

/** What one test of the store prints. */
async function said(file, test, env = {}) {
  const cargo = ['test', '--locked', '--quiet', '--profile', PROFILE, '-p', 'store', '--test', file, '--'];
  const options = { cwd: ROOT, env: { ...process.env, STORE_FIGURES: tmpdir(), ...env }, maxBuffer: 1 << 24 };
  const { stdout } = await run('cargo', [...cargo, test, '--include-ignored', '--nocapture', '--test-threads', '1'], options);
  return stdout;
}

const numbers = (text, pattern) => [...text.matchAll(pattern)].map((found) => Number(found[1].replaceAll(',', '')));

/** Pushes a second by 256 producers, and records a second of a bare file beside them. */
export async function pushesBesideBareFile() {
  const text = await said('queue_figures', 'push_by_256_producers_beside_a_bare_file');
  return {
    bare: median(numbers(text, /bare file ([\d,]+) a second/g)),
    pushed: median(numbers(text, /queue push ([\d,]+) a second/g)),
  };
}

/** Microseconds to take and end a job, at a short and at a long backlog. */
export async function timesAtBacklogs() {
  const text = await said('queue_figures', 'pop_and_complete_at_two_backlogs');
  return {
    short: numbers(text, /backlog 1,000 to 2,000: ([\d.]+) µs/g),
    long: numbers(text, /backlog 1000000: ([\d.]+) µs/g),
  };
}

/** What overwriting leaves, and how long opening takes then. */
export async function sizeAfterOverwrites() {
  const overwrites = process.env.BENCH_OVERWRITES ?? '20000000';
  const text = await said('flat', 'memory_and_disk_stay_flat_over_many_overwrites', { STORE_OVERWRITES: overwrites });
  const disk = numbers(text, /disk_bytes: (\d+)/g);
  const [, opened, unit] = text.match(/opened again in ([\d.]+)(m?s|µs)/);
  return {
    overwrites,
    records: numbers(text, /^(\d+) records/gm)[0],
    openedInSeconds: Number(opened) * { s: 1, ms: 1e-3, µs: 1e-6 }[unit],
    timesLiveData: numbers(text, /on the disk ([\d.]+) times/g)[0],
    grownBy: disk.at(-1) / disk.at(1),
  };
}
