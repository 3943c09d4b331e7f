// Makes the old data folder that every later version has to open: `format-N.tar.gz` and `format-N.json`.
// See README.md beside it for when and how.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Client, sha256 } from '../lib/api.mjs';
import { settle, tinyFilm } from '../lib/community.mjs';
import { differences, portrait } from '../lib/portrait.mjs';
import { Server } from '../lib/server.mjs';

const format = Number(process.argv[2]);
if (!Number.isInteger(format) || format < 1) {
  console.error('usage: node make.mjs FORMAT');
  process.exit(2);
}

const film = await tinyFilm();
const server = await Server.start();
const { people, videos, known, upload } = await settle(server, film);
const { cleo, dora, ...others } = people;
const answers = await portrait({ ...others, cleo }, known);
// Answered, and at the end perhaps neither counted, nor told, nor processed: the next start does it.
await cleo.put(`/api/videos/${videos.moon}/rating`, { rating: 'dislike' });
const late = await dora.upload(film, { filename: 'late.mp4', title: 'Late', channel: 'night', privacy: 'unlisted' });
await server.killAll();
await pack(server.data, join(import.meta.dirname, `format-${format}.tar.gz`));

// The program that made it reads it back, before any other is asked to.
await server.up();
const again = {};
for (const name of ['ada', 'ben', 'cleo', 'dora']) again[name] = await new Client(server.url).login(name);
await again.dora.video(late);
const { dora: _, ...asked } = { ...again, guest: new Client(server.url) };
assert.deepEqual(differences(answers, await portrait(asked, known)), []);
assert.equal((await server.down()).code, 0);
await server.end();

const expected = { format, film: sha256(film), original: videos.open, known, answers, upload, moon: videos.moon, late };
await writeFile(join(import.meta.dirname, `format-${format}.json`), `${JSON.stringify(expected, null, 1)}\n`);

/** A data folder as an archive, without its sockets, and without where and when it was packed. */
async function pack(data, archive) {
  const folder = await mkdtemp(join(tmpdir(), 'djstream-format-'));
  const kept = (path) => !/^\/run(\/|$)/.test(path.slice(data.length));
  await cp(data, join(folder, 'data'), { recursive: true, filter: kept });
  const who = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=2026-01-01'];
  await promisify(execFile)('tar', ['--use-compress-program=gzip -9n', ...who, '-cf', archive, '-C', folder, 'data']);
  await rm(folder, { recursive: true });
}
