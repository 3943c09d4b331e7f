// The disk gets full: uploads are refused early, reading, logging in and deleting go on, nothing answered is lost, a
// restart works, and once there is room again nobody has to do anything.
//
// Needs a small file system of its own (tmpfs): root, or a user namespace. DJSTREAM_NO_MOUNT=1 leaves it out.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { Client, sha256 } from '../lib/api.mjs';
import { tinyFilm } from '../lib/community.mjs';
import { differences, portrait } from '../lib/portrait.mjs';
import { Server, eventually } from '../lib/server.mjs';
import { Upload } from '../lib/tus.mjs';

const MIB = 1 << 20;
const SIZE_BYTES = 160 * MIB;
const RESERVE_BYTES = 12 * MIB;
const BALLAST_BYTES = 4 * MIB;
/** Between an eighth and a half of a reserve: for what is essential, and nothing else. */
const LITTLE_BYTES = MIB;
const SERVICES = ['gateway', 'channel', 'video', 'interaction', 'notification'];
const INSIDE = 'DJSTREAM_TEST_OWN_NAMESPACE';

/** Mounts a tmpfs; answers its folder, or nothing where that is not permitted. */
function mount() {
  const folder = mkdtempSync(join(tmpdir(), 'djstream-disk-'));
  const done = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_BYTES},mode=700`, 'djstream-test', folder]);
  if (done.status === 0) return folder;
  rmSync(folder, { recursive: true });
  return undefined;
}

/** A file that takes all the room but so many bytes. */
class Filler {
  constructor(folder) {
    Object.assign(this, { folder, path: join(folder, 'filler'), chunk: Buffer.alloc(MIB, 7) });
  }

  free = () => {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  };

  leave(bytes) {
    const file = openSync(this.path, 'a');
    try {
      while (this.free() > bytes) writeSync(file, this.chunk, 0, Math.min(MIB, this.free() - bytes));
    } catch (error) {
      // Somebody else took the last of it.
      if (error.code !== 'ENOSPC') throw error;
    } finally {
      fsyncSync(file);
      closeSync(file);
    }
    return this.free();
  }

  remove = () => rmSync(this.path, { force: true });
}

const folder = process.env.DJSTREAM_NO_MOUNT ? undefined : mount();
if (folder) scene(folder);
else if (process.env.DJSTREAM_NO_MOUNT) test('a full disk', { skip: 'DJSTREAM_NO_MOUNT is set' }, () => {});
else if (process.env[INSIDE]) test('a full disk', () => assert.fail('a tmpfs can be mounted neither as this user nor in a namespace of its own'));
else {
  test('a full disk, in a namespace of its own', () => {
    const env = { ...process.env, [INSIDE]: '1', NODE_TEST_CONTEXT: '' };
    const inside = spawnSync('unshare', ['-rm', process.execPath, '--test', import.meta.filename], { env, encoding: 'utf8' });
    assert.equal(inside.status, 0, `set DJSTREAM_NO_MOUNT=1 where mounting is impossible\n${inside.stdout}${inside.stderr}`);
  });
}

function scene(mounted) {
  const filler = new Filler(mounted);
  const ratings = new Map(); // person → the last answered rating
  let server;
  let ada;
  let people;
  let film;
  let known;
  let before;
  const id = {};

  after(async () => {
    await server?.end();
    execFileSync('umount', [mounted]);
    rmSync(mounted, { recursive: true });
  });

  const ask = async () => portrait({ ada, guest: new Client(server.url) }, known);
  /** Everything that was readable still is, word for word and byte for byte. */
  const everythingReads = async () => assert.deepEqual(differences(before, await ask()), []);

  /** Everybody rates; answers how many were answered. Nothing but yes and 'no room' may be said. */
  async function rate(rating) {
    let answered = 0;
    for (const [n, person] of people.entries()) {
      const { status, body } = await person.call('PUT', `/api/videos/${id.kept}/rating`, { rating });
      assert.ok(status === 200 || (status === 507 && body.code === 'disk-full'), `${status} ${JSON.stringify(body)}`);
      if (status !== 200) continue;
      ratings.set(n, rating);
      answered += 1;
    }
    return answered;
  }

  async function ratingsAreThere() {
    for (const [n, person] of people.entries()) {
      const { rating } = await person.get(`/api/videos/${id.kept}/rating`);
      assert.equal(rating, ratings.get(n) ?? 'none', `person${n}`);
    }
  }

  /** Something to write for each service; it may be refused. */
  async function everybodyWrites() {
    const calls = [
      ['PATCH', '/api/channels/meadow', { description: `Written at ${Date.now()}` }],
      ['PATCH', `/api/videos/${id.later}`, { tags: [`t${Date.now()}`] }],
      ['PATCH', '/api/me', { bio: `Written at ${Date.now()}` }],
      ['PUT', '/api/notifications/preferences', { kinds: [{ kind: 'mention', page: Date.now() % 2 === 0 }] }],
    ];
    for (const call of calls) {
      const { status, body } = await people[3].call(...call);
      const asAda = [403, 404].includes(status) ? await ada.call(...call) : { status, body };
      assert.ok([200, 507].includes(asAda.status), `${call}: ${asAda.status} ${JSON.stringify(asAda.body)}`);
    }
    await rate('like');
  }

  async function uploadIsRefused() {
    await assert.rejects(
      Upload.create(ada, film.length, { filename: 'f.mp4', title: 'No room', channel: 'meadow' }),
      (error) => error.status === 507 && error.text.includes('disk-full'),
    );
  }

  test('a community on a small disk', async () => {
    const data = join(mounted, 'data');
    mkdirSync(data, { mode: 0o700 });
    server = await Server.start({
      data,
      env: {
        DJSTREAM_STORAGE_RESERVE_BYTES: String(RESERVE_BYTES),
        DJSTREAM_STORAGE_BALLAST_BYTES: String(BALLAST_BYTES),
        DJSTREAM_LIMITS_INTERACTIONS_PER_MINUTE: '100000',
        DJSTREAM_LIMITS_PER_ACCOUNT_LOGINS_PER_MINUTE: '1000',
      },
    });
    film = await tinyFilm();
    ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
    people = [];
    for (let n = 0; n < 4; n += 1) people.push(await new Client(server.url).register(`person${n}`));
    await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow' });
    for (const name of ['kept', 'deleted', 'later']) {
      id[name] = await ada.upload(film, { filename: 'f.mp4', title: `The ${name} meadow`, channel: 'meadow' });
    }
    for (const video of Object.values(id)) await ada.video(video);
    await people[0].post(`/api/videos/${id.kept}/comments`, { text: 'Still room here' });
    assert.equal(await rate('like'), 4);
    await eventually('all of it has arrived', async () => {
      const { likes, comments } = await ada.get(`/api/videos/${id.kept}`);
      const { items } = await ada.get('/api/search?q=meadow');
      const { jobs } = await ada.get(`/api/videos/${id.later}/processing`);
      return likes === 4 && comments === 1 && items.length === 3 && jobs.every(({ state }) => state === 'done');
    });
    await new Promise((wake) => setTimeout(wake, 500));
    known = { channels: ['meadow'], videos: Object.values(id), playlists: [] };
    before = await ask();
  });

  test('uploads are refused while there is room for everything else', async () => {
    const free = filler.leave(RESERVE_BYTES - 2 * MIB);
    assert.ok(free > 2 * BALLAST_BYTES, `${free} bytes are free`);
    await uploadIsRefused();
    assert.equal(await rate('dislike'), 4);
    assert.equal(await rate('like'), 4);
    await eventually('they count', async () => (await ada.get(`/api/videos/${id.kept}`)).likes === 4);
    await everythingReads();
  });

  test('with no byte left people read and log in, and no rating is lost', async () => {
    assert.equal(filler.leave(0), 0);
    await everythingReads();
    // Taken or refused: what one service gives up is room for all.
    await rate('dislike');
    await rate('none');
    await ratingsAreThere();
    await uploadIsRefused();
    await new Client(server.url).login('person0');
  });

  test('when every reserve was given up people still log in and delete', async () => {
    const reserves = () => SERVICES.filter((service) => existsSync(join(server.data, service, 'ballast')));
    await eventually('no reserve is left', async () => {
      filler.leave(LITTLE_BYTES);
      await everybodyWrites();
      return reserves().length === 0;
    });
    filler.leave(LITTLE_BYTES);
    const other = (rating) => (rating === 'like' ? 'dislike' : 'like');
    await eventually('ratings are refused', async () => (await rate(other(ratings.get(0)))) === 0, { timeoutMs: 5_000 });
    await ratingsAreThere();
    const wrong = { login: 'person0', password: 'wrong wrong wrong' };
    assert.equal((await new Client(server.url).call('POST', '/api/auth/login', wrong)).status, 401);
    for (let n = 0; n < 3; n += 1) await new Client(server.url).login('person1');
    await uploadIsRefused();
    const deleted = await ada.call('DELETE', `/api/videos/${id.deleted}`);
    assert.equal(deleted.status, 204, JSON.stringify(deleted.body));
    assert.equal((await ada.call('GET', `/api/videos/${id.deleted}`)).status, 404);
    // What was said of the deleted film is what changed.
    known.videos = known.videos.filter((video) => video !== id.deleted);
    const now = await ask();
    const path = `/api/videos/${id.kept}/comments?sort=old`;
    assert.deepEqual(differences(before.ada[path], now.ada[path]), []);
    await eventually('its files are gone', async () => (await ada.call('GET', `/media/${id.deleted}/original`)).status === 404);
  });

  test('a restart after kill -9 works with little left', async () => {
    await server.killAll();
    await server.up();
    await ratingsAreThere();
    assert.equal((await ada.get(`/api/videos/${id.kept}`)).title, 'The kept meadow');
    assert.equal((await ada.call('GET', `/api/videos/${id.deleted}`)).status, 404);
    const original = await fetch(`${server.url}/media/${id.kept}/original`, { headers: { authorization: `Bearer ${ada.token}` } });
    assert.equal(sha256(Buffer.from(await original.arrayBuffer())), sha256(film));
    await rate('none');
    await ratingsAreThere();
    await uploadIsRefused();
    await new Client(server.url).login('person2');
  });

  test('with nothing left at all people still read, and a restart waits for room by itself', async () => {
    filler.leave(0);
    await rate('like');
    await ratingsAreThere();
    await uploadIsRefused();
    const original = await fetch(`${server.url}/media/${id.kept}/original`, { headers: { authorization: `Bearer ${ada.token}` } });
    assert.equal(sha256(Buffer.from(await original.arrayBuffer())), sha256(film));
    await server.killAll();
    filler.leave(0);
    const ready = server.up();
    // Longer than the supervisor would have patience with a service that ends by itself.
    await Promise.race([ready.catch(() => {}), new Promise((wake) => setTimeout(wake, 9_000))]);
    assert.equal(server.process.exitCode, null, server.tail());
    filler.remove();
    await ready;
    await ratingsAreThere();
  });

  test('with room again everything recovers by itself', async () => {
    await eventually('ratings are taken again', async () => (await rate('like')) === 4, { timeoutMs: 20_000 });
    await eventually('they count', async () => (await ada.get(`/api/videos/${id.kept}`)).likes === 4);
    const said = await people[1].post(`/api/videos/${id.kept}/comments`, { text: 'Room again' });
    await eventually('the owner is told', async () =>
      (await ada.get('/api/notifications')).items.some(({ commentId }) => commentId === said.id));
    const video = await eventually('an upload is taken', () =>
      ada.upload(film, { filename: 'f.mp4', title: 'A roomy meadow', channel: 'meadow' }), { timeoutMs: 20_000 });
    await ada.video(video);
    await eventually('search knows what came and what went', async () => {
      const found = (await ada.get('/api/search?q=meadow')).items.map((item) => item.video.id);
      return found.includes(video) && found.includes(id.kept) && !found.includes(id.deleted);
    });
    await new Client(server.url).login('person2');
    await eventually('all is well', async () => (await ada.get('/api/health')).status === 'ok');
    assert.equal((await server.down()).code, 0);
    await server.up();
    await ratingsAreThere();
    assert.equal((await ada.get(`/api/videos/${id.kept}`)).likes, 4);
  });
}
