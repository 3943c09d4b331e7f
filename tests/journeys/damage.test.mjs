// Bits are flipped and ends cut off in every kind of file of a stopped community: after the start every answer is right,
// or the part concerned does not answer and says so. A wrong answer is never given. A damaged search index is rebuilt.
//
// DJSTREAM_TEST_SEED repeats where the bits were.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { settle, tinyFilm } from '../lib/community.mjs';
import { differences, portrait } from '../lib/portrait.mjs';
import { Server, eventually } from '../lib/server.mjs';

const SEED = Number(process.env.DJSTREAM_TEST_SEED ?? process.pid);
const SERVICES = ['gateway', 'channel', 'video', 'interaction', 'notification'];
const env = { DJSTREAM_STORAGE_BALLAST_BYTES: '1048576', DJSTREAM_LOG_LEVEL: 'warn' };

let whole; // the stopped server
let people;
let known;
let then;

before(async () => {
  console.log(`DJSTREAM_TEST_SEED=${SEED}`);
  whole = await Server.start({ env });
  ({ people, known } = await settle(whole, await tinyFilm()));
  delete people.dora;
  await new Promise((wake) => setTimeout(wake, 1_500));
  then = await portrait(people, known);
  assert.equal((await whole.down()).code, 0);
});
after(() => whole && rmSync(whole.data, { recursive: true, force: true }));

let state = SEED;
function below(end) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * end);
}

/** The files of one kind in a service's folder. */
function files(folder, kind) {
  const list = (path) => (existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []);
  const found = {
    db: [join(folder, 'engine/db')],
    conf: [join(folder, 'engine/conf')],
    snap: list(join(folder, 'engine')).filter((path) => /\/snap\.[^/]*$/.test(path)),
    journal: list(join(folder, 'journal')).filter((path) => path.endsWith('.journal')),
    state: [join(folder, 'state')],
  }[kind];
  return found.filter((path) => existsSync(path) && statSync(path).size > 0);
}

/** Where the content of a preallocated file ends. */
function used(bytes) {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

function flip(path) {
  const bytes = readFileSync(path);
  const bit = below(used(bytes) * 8);
  bytes[bit >> 3] ^= 1 << (bit & 7);
  writeFileSync(path, bytes);
  return `bit ${bit} of ${path}`;
}

function cut(path) {
  const end = below(used(readFileSync(path)));
  truncateSync(path, end);
  return `${path} ends at ${end}`;
}

/** Starts a copy after `harm` was done to it; answers a server, or nothing and why it did not start. */
async function startCopy(harm) {
  const data = mkdtempSync(join(tmpdir(), 'djstream-damage-'));
  execFileSync('cp', ['-a', `${whole.data}/.`, data]);
  const harmed = harm(data);
  assert.ok(harmed.length > 0, 'something was harmed');
  // On the same port: the tokens hold.
  const server = new Server(data, whole.port, env);
  const refused = await Promise.race([
    server.up().then(() => undefined, (error) => error),
    new Promise((wake) => setTimeout(wake, 6_000, undefined)),
  ]);
  return { server, harmed, refused };
}

/** What is wrong in the answers, and what was not answered. */
async function judge() {
  const answers = await portrait(people, known);
  const silent = [];
  for (const [name, paths] of Object.entries(answers)) {
    for (const [path, answer] of Object.entries(paths)) {
      if (answer !== 503 || then[name][path] === 503) continue;
      silent.push(`${name} ${path}`);
      paths[path] = then[name][path];
    }
  }
  return { wrong: differences(then, answers), silent };
}

/** Right answers, or a clear statement. */
async function isHonest({ server, harmed, refused }) {
  try {
    if (refused) {
      assert.match(refused.message, /damaged|cannot be read|contradict/i, harmed.join('\n'));
      return 'refused';
    }
    let found;
    // A search index may be on its way, and a part that is repaired comes later.
    await eventually('right answers, or silence', async () => {
      found = await judge().catch((error) => (error.status === 503 ? { wrong: [error.message], silent: [] } : Promise.reject(error)));
      return found.wrong.length === 0;
    }, { timeoutMs: 8_000, everyMs: 200 }).catch(() => {});
    assert.deepEqual(found.wrong, [], `${harmed.join('\n')}\n${server.tail()}`);
    if (found.silent.length === 0) return 'right';
    const { body } = await people.guest.call('GET', '/api/health');
    const bad = body.services?.filter(({ status }) => status !== 'ok') ?? [];
    assert.ok(bad.length > 0 || !body.services, `silent, but said to be well: ${found.silent}\n${harmed.join('\n')}`);
    assert.match(server.log.join('\n'), /damage/, `nothing says why: ${server.tail()}`);
    return `silent: ${bad.map(({ name }) => name)}`;
  } finally {
    await server.end();
  }
}

for (const kind of ['db', 'conf', 'snap', 'journal', 'state']) {
  for (const [name, harm] of [['a bit is flipped', flip], ['the end is cut off', cut]]) {
    test(`${kind}: ${name}`, { timeout: 60_000 }, async (t) => {
      // All services at once: each of them has to be honest by itself.
      const all = (data) => SERVICES.flatMap((service) => files(join(data, service), kind).slice(-1).map(harm));
      if (SERVICES.every((service) => files(join(whole.data, service), kind).length === 0)) {
        return t.skip('there is no such file');
      }
      t.diagnostic(await isHonest(await startCopy(all)));
    });
  }
}

test('a damaged search index is rebuilt, and search answers meanwhile', { timeout: 60_000 }, async () => {
  for (const harm of [flip, cut]) {
    const { server, harmed, refused } = await startCopy((data) => {
      const folder = join(data, 'video/search');
      const all = execFileSync('find', [folder, '-type', 'f', '-size', '+0']).toString().trim().split('\n');
      return all.filter((path) => !/\.lock$/.test(path)).map(harm);
    });
    assert.equal(refused, undefined, harmed.join('\n'));
    try {
      const wanted = then.guest['/api/search?q=meadow'].found;
      await eventually(`everything is found again after\n${harmed.join('\n')}`, async () => {
        const { status, body } = await people.guest.call('GET', '/api/search?q=meadow');
        assert.ok(status === 200 || status === 503, `search: ${status} ${JSON.stringify(body)}`);
        if (status !== 200) return false;
        const found = body.items.map(({ video }) => video.id);
        assert.ok(found.every((id) => wanted.includes(id)), 'what is found is right at any time');
        return found.length === wanted.length;
      }, { timeoutMs: 15_000 });
      assert.deepEqual((await judge()).wrong, []);
    } finally {
      await server.end();
    }
  }
});
