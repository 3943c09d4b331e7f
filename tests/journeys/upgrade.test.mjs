// The data folder of an earlier format, as it was when all its processes were killed: this version opens it,
// answers what that version answered, finishes what it had begun, and goes on.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';

import { Client, sha256 } from '../lib/api.mjs';
import { differences, portrait } from '../lib/portrait.mjs';
import { Server, eventually } from '../lib/server.mjs';
import { Upload } from '../lib/tus.mjs';

const DATA = resolve(import.meta.dirname, '../data');
// The half upload gets older with every year: the longest time that can be set.
const env = { DJSTREAM_LIMITS_UPLOAD_EXPIRES_S: '315360000' };
const formats = readdirSync(DATA).map((name) => /^format-(\d+)\.json$/.exec(name)?.[1]).filter(Boolean).sort();
const servers = [];
after(() => Promise.all(servers.map((server) => server.end())));

function unpack(format) {
  const folder = mkdtempSync(join(tmpdir(), `djstream-format-${format}-`));
  execFileSync('tar', ['-xzf', join(DATA, `format-${format}.tar.gz`), '-C', folder, '--strip-components=1']);
  return folder;
}

async function everybody(url) {
  const people = { guest: new Client(url) };
  for (const name of ['ada', 'ben', 'cleo', 'dora']) people[name] = await new Client(url).login(name);
  return people;
}

test('there is test data', () => assert.ok(formats.includes('1')));

for (const format of formats) {
  test(`a data folder of format ${format} is taken over`, async () => {
    const then = JSON.parse(readFileSync(join(DATA, `format-${format}.json`), 'utf8'));
    const server = await Server.start({ env, data: unpack(format) });
    servers.push(server);
    const { dora, ...people } = await everybody(server.url);
    assert.deepEqual(Object.keys(then.answers).toSorted(), Object.keys(people).toSorted());
    // The index may have been rebuilt: it catches up.
    await eventually('the films are found', async () =>
      (await people.guest.get('/api/search?q=meadow')).items.length === then.answers.guest['/api/search?q=meadow'].found.length);
    assert.deepEqual(differences(then.answers, await portrait(people, then.known)), []);

    // What was answered at the last moment.
    await eventually('the last rating counts', async () => {
      const { likes, dislikes } = await dora.get(`/api/videos/${then.moon}`);
      return likes === 0 && dislikes === 1;
    });
    assert.equal((await people.cleo.get(`/api/videos/${then.moon}/rating`)).rating, 'dislike');
    await dora.video(then.late);
    await eventually('its owner is told, once', async () => {
      const { items } = await dora.get('/api/notifications?limit=100');
      return items.filter(({ kind, videoId }) => kind === 'processing-done' && videoId === then.late).length === 1;
    });

    // What had been begun.
    const { ada } = people;
    const film = await original(ada, then.original);
    assert.equal(sha256(film), then.film);
    const upload = new Upload(ada, then.upload.path);
    assert.equal(await upload.offset(), then.upload.offset);
    assert.equal(await upload.send(film.subarray(then.upload.offset), then.upload.offset), 204);
    const { items } = await ada.get('/api/me/videos');
    const half = items.find(({ title }) => title === 'Half a meadow').id;
    await ada.video(half);
    assert.equal(sha256(await original(ada, half)), then.film);

    // It goes on from there.
    await people.ben.post(`/api/videos/${half}/comments`, { text: 'At last' });
    assert.equal((await server.down()).code, 0);
    await server.up();
    assert.equal((await new Client(server.url).get(`/api/videos/${half}/comments`)).items[0].text, 'At last');
    await eventually('the film is found', async () => (await people.guest.get('/api/search?q=half')).items[0]?.video.id === half);
    const { ben } = await portrait({ ben: people.ben }, then.known);
    const comments = `/api/videos/${then.original}/comments?sort=old`;
    assert.deepEqual(differences(then.answers.ben[comments], ben[comments]), []);
  });
}

test('a data folder of a newer format is refused by name, and nothing in it changes', async () => {
  const server = await Server.start({ env, data: unpack(formats.at(-1)) });
  servers.push(server);
  assert.equal((await server.down()).code, 0);
  const folder = join(server.data, 'interaction');
  const state = readFileSync(join(folder, 'state'));
  let slots = 0;
  for (const slot of [0, 4096]) {
    // Magic (8), serial (8), format (4), …, and at the end the CRC-32C of all that.
    const ends = Array.from({ length: 512 }, (_, n) => slot + 20 + n);
    const end = ends.find((at) => crc32c(state.subarray(slot, at)) === state.readUInt32LE(at));
    if (!end) continue;
    state.writeUInt32LE(9_999, slot + 16);
    state.writeUInt32LE(crc32c(state.subarray(slot, end)), end);
    slots += 1;
  }
  assert.ok(slots > 0, 'a slot was made newer');
  writeFileSync(join(folder, 'state'), state);
  const before = fingerprint(folder);
  const refused = await Promise.race([
    server.up().then(() => undefined, (error) => error),
    eventually('the log says why', () => /newer version \(format 9999, this one knows \d+\)/.test(server.log.join('\n'))),
  ]);
  assert.ok(refused, 'it must not get ready');
  assert.match(server.log.join('\n'), /interaction was written by a newer version/);
  if (server.process.exitCode === null) await server.down();
  assert.deepEqual(fingerprint(folder), before);
});

/** Each file of a folder with the sum of its content. */
function fingerprint(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const sums = files.map(({ parentPath, path, name }) => {
    const at = join(parentPath ?? path, name);
    return `${at} ${sha256(readFileSync(at))}`;
  });
  return sums.toSorted();
}

/** CRC-32C (Castagnoli), bit by bit. */
function crc32c(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

async function original(client, id) {
  const answer = await fetch(`${client.url}/media/${id}/original`, { headers: { authorization: `Bearer ${client.token}` } });
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}
