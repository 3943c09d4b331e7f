// A backup is taken while a community is at it, and brought back: what was acknowledged before it began is there,
// once, in all five stores; films have their bytes; a bad backup is refused by name; a kill leaves things in order.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Client, sha256 } from '../lib/api.mjs';
import { bunny } from '../lib/films.mjs';
import { CONTROL_PROGRAM, Server, eventually } from '../lib/server.mjs';
import { Upload } from '../lib/tus.mjs';

const PEOPLE = 8;
const COMMENTS_EACH = 80;
const ENV = {
  DJSTREAM_LIMITS_COMMENTS_PER_MINUTE: '10000',
  DJSTREAM_LIMITS_INTERACTIONS_PER_MINUTE: '100000',
  DJSTREAM_NOTIFICATION_INBOX_ENTRIES: '10000',
  DJSTREAM_BACKUP_KEEP: '2',
};

let server;
let ada;
let people;
let film;
let video;
let upload;
/** The first backup, and what was acknowledged before it began. */
let first;
let sure;

before(async () => {
  server = await Server.start({ env: ENV });
  ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
  people = [];
  for (let n = 0; n < PEOPLE; n += 1) people.push(await new Client(server.url).register(`person${n}`));
  await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow' });
  ({ bytes: film } = await bunny());
  video = await ada.upload(film, { filename: 'bunny.mp4', title: 'Rabbit', channel: 'meadow', privacy: 'public' });
  await ada.video(video);
  await eventually('every rendition', async () => {
    const { jobs } = await ada.get(`/api/videos/${video}/processing`);
    return jobs.every(({ state }) => state === 'done');
  }, { timeoutMs: 60_000 });
  upload = await Upload.create(ada, film.length, { filename: 'half.mp4', title: 'Half', channel: 'meadow' });
  assert.equal(await upload.send(film.subarray(0, 100_000), 0), 204);
});
after(() => server?.end());

/** Runs `djstreamctl`; answers its JSON, or its exit status and words. */
function control(data, ...words) {
  return new Promise((done) => {
    execFile(CONTROL_PROGRAM, ['--data', data, '-o', 'json', ...words], (error, stdout, stderr) => {
      done({ code: error?.code ?? 0, said: stderr, answer: stdout ? JSON.parse(stdout) : undefined });
    });
  });
}

async function backup(...words) {
  const { code, said, answer } = await control(server.data, 'backup', ...words);
  assert.equal(code, 0, said + server.tail());
  return answer;
}

/** Everybody rates and comments until `stop`; what was acknowledged stands in the answer at once. */
function load() {
  const acknowledged = { texts: people.map(() => []), liked: people.map(() => new Set()) };
  let stopped = false;
  const work = people.map(async (person, n) => {
    for (let round = 0; !stopped && round < COMMENTS_EACH; round += 1) {
      await person.put(`/api/videos/${video}/rating`, { rating: (n + round) % 2 ? 'like' : 'dislike' });
      const text = `${n} says ${round}`;
      const comment = await person.post(`/api/videos/${video}/comments`, { text });
      acknowledged.texts[n].push(text);
      await people[(n + 1) % PEOPLE].put(`/api/comments/${comment.id}/rating`, { rating: 'like' });
      acknowledged.liked[n].add(text);
    }
  });
  return {
    acknowledged,
    end: async () => {
      stopped = true;
      await Promise.all(work);
    },
  };
}

async function pages(client, path) {
  const items = [];
  let token;
  do {
    const page = await client.get(`${path}${path.includes('?') ? '&' : '?'}limit=100${token ? `&pageToken=${token}` : ''}`);
    items.push(...page.items);
    token = page.nextPageToken;
  } while (token);
  return items;
}

async function bytes(client, path) {
  const answer = await fetch(client.url + path, { headers: { authorization: `Bearer ${client.token}` } });
  assert.equal(answer.status, 200, path);
  return Buffer.from(await answer.arrayBuffer());
}

/** Every file that a player would fetch, with its digest. */
async function playable(client, id) {
  const files = new Map([['original', sha256(await bytes(client, `/media/${id}/original`))]]);
  const wanted = ['master.m3u8'];
  while (wanted.length > 0) {
    const name = wanted.pop();
    if (files.has(name)) continue;
    const content = await bytes(client, `/media/${id}/${name}`);
    files.set(name, sha256(content));
    if (!name.endsWith('.m3u8')) continue;
    for (const line of content.toString().split('\n')) {
      const uri = /URI="([^"]+)"/.exec(line)?.[1] ?? (line && !line.startsWith('#') ? line : undefined);
      if (uri) wanted.push(uri.split('/').pop().split('?')[0]);
    }
  }
  return Object.fromEntries([...files].sort());
}

/** Holds an instance against what was acknowledged before the backup began. */
async function isWhole(instance) {
  const owner = await new Client(instance.url).login('ada');
  const comments = await pages(owner, `/api/videos/${video}/comments?sort=old`);
  const texts = comments.map(({ text }) => text);
  assert.equal(new Set(texts).size, texts.length, 'no comment is there twice');
  for (const [n, before] of sure.texts.entries()) {
    const own = texts.filter((text) => text.startsWith(`${n} says`));
    // All that was acknowledged before, and what came during the backup only without a gap: one moment.
    assert.ok(own.length >= before.length, `person${n}: ${own.length} of ${before.length}`);
    assert.deepEqual(own, own.map((_, round) => `${n} says ${round}`));
    for (const { text, likes } of comments.filter((one) => sure.liked[n].has(one.text))) assert.equal(likes, 1, text);
  }
  const ratings = { like: 0, dislike: 0, none: 0 };
  for (let n = 0; n < PEOPLE; n += 1) {
    const person = await new Client(instance.url).login(`person${n}`);
    ratings[(await person.get(`/api/videos/${video}/rating`)).rating] += 1;
  }
  await eventually('counters equal the rows', async () => {
    const now = await owner.get(`/api/videos/${video}`);
    return now.comments === texts.length && now.likes === ratings.like && now.dislikes === ratings.dislike;
  });
  await eventually('each comment is told once', async () => {
    const told = (await pages(owner, '/api/notifications')).filter(({ kind }) => kind === 'comment');
    assert.ok(told.length <= texts.length, `${told.length} notifications of ${texts.length} comments`);
    return told.length === texts.length;
  });
  assert.deepEqual(await playable(owner, video), first.playable);
  await eventually('the film is found', async () => {
    const { items } = await owner.get('/api/search?q=rabbit');
    return items.some((item) => (item.video ?? item).id === video);
  });
  return owner;
}

async function inode(...parts) {
  return (await stat(join(...parts))).ino;
}

const files = async (folder) => (await readdir(folder)).sort();

test('a backup is made, verified and listed while everybody is at it', async () => {
  const busy = load();
  await eventually('some comments', () => busy.acknowledged.texts.every((texts) => texts.length >= 3));
  sure = {
    texts: busy.acknowledged.texts.map((texts) => [...texts]),
    liked: busy.acknowledged.liked.map((texts) => new Set(texts)),
  };
  const made = await backup('create');
  const more = busy.acknowledged.texts.flat().length - sure.texts.flat().length;
  await busy.end();
  assert.ok(more > 0, 'the load went on while the backup was made');
  assert.equal(made.state, 'verified');
  assert.ok(made.entries > 100 && made.mediaFiles > 3 && made.mediaCopiedBytes === 0, JSON.stringify(made));
  first = { ...made, playable: await playable(ada, video) };
  assert.ok(Object.keys(first.playable).length >= 4, JSON.stringify(first.playable));
  const listed = await backup('list');
  assert.deepEqual(listed.map(({ id, state }) => ({ id, state })), [{ id: made.id, state: 'verified' }]);
  assert.deepEqual(await files(join(server.data, 'backups')), [made.id]);
  assert.equal((await stat(join(server.data, 'backups', made.id))).mode & 0o777, 0o700);
});

test('verifying reads everything again, and the timer says when the next one is due', async () => {
  const verified = await backup('verify', first.id);
  assert.ok(verified.verifiedAt > first.verifiedAt);
  const schedule = await backup('schedule');
  assert.equal(schedule.intervalHours, 24);
  assert.equal(schedule.keep, 2);
  assert.equal(Date.parse(schedule.nextAt) - Date.parse(first.createdAt), 24 * 3_600_000);
  const guest = await new Client(server.url).call('GET', '/api/admin/backups');
  assert.equal(guest.status, 401);
  assert.equal((await people[0].call('POST', '/api/admin/backups', {})).status, 403);
});

test('a second backup shares the media with the first, and what goes after it is still in both', async () => {
  const second = await backup('create');
  const folder = (await readdir(join(server.data, 'backups', first.id, 'media', video)))[0];
  const places = [['media'], ['backups', first.id, 'media'], ['backups', second.id, 'media']];
  const inodes = await Promise.all(places.map((place) => inode(server.data, ...place, video, folder)));
  assert.equal(new Set(inodes).size, 1, inodes.join(' '));
  const gone = await ada.upload(film, { filename: 'gone.mp4', title: 'Gone soon', channel: 'meadow', privacy: 'public' });
  await ada.video(gone);
  const third = await backup('create');
  assert.deepEqual(await files(join(server.data, 'backups')), [second.id, third.id].sort(), '[backup] keep = 2');
  await ada.delete(`/api/videos/${gone}`);
  await eventually('its files are removed', async () => !(await files(join(server.data, 'media'))).includes(gone));
  assert.ok((await files(join(server.data, 'backups', third.id, 'media', gone))).length > 1);
  assert.ok((await backup('verify', third.id)).verifiedAt);
  // The first one is needed below: taken again from what the load left.
  first = { ...first, ...second };
});

test('nothing is restored while DjStream runs', async () => {
  const asked = await control(server.data, 'backup', 'restore', first.id);
  assert.equal(asked.code, 2);
  assert.match(asked.said, /--yes/);
  const refused = await control(server.data, 'backup', 'restore', first.id, '--yes');
  assert.equal(refused.code, 6);
  for (const role of ['gateway', 'channel', 'video', 'interaction', 'notification-0', 'notification-1']) {
    assert.ok(refused.said.includes(role), `${role} in ${refused.said}`);
  }
});

test('kill -9 of everything in the middle of a backup leaves things in order', async () => {
  // Two are kept: the one that the tests below bring back is put where nothing tidies.
  const kept = join(server.data, 'kept', first.id);
  await cp(first.path, kept, { recursive: true, preserveTimestamps: true });
  first.path = kept;
  const busy = load();
  for (const delayMs of [0, 30, 120]) {
    const create = spawn(CONTROL_PROGRAM, ['--data', server.data, 'backup', 'create'], { stdio: 'ignore' });
    const ended = new Promise((done) => create.once('exit', done));
    await eventually('it has begun', async () => {
      const now = await files(join(server.data, 'backups'));
      return now.some((name) => name.startsWith('unfinished-'));
    }, { everyMs: 2 });
    await new Promise((wake) => setTimeout(wake, delayMs));
    await server.killAll();
    await ended;
    await server.up();
    await eventually('what was left is removed', async () => {
      const now = await files(join(server.data, 'backups'));
      return now.every((name) => !name.startsWith('unfinished-') && !name.startsWith('.'));
    });
    assert.ok((await files(join(server.data, 'media'))).every((name) => !name.startsWith('.held-')));
    const listed = await backup('list');
    assert.ok(listed.length >= 2 && listed.every(({ state }) => state === 'verified'), JSON.stringify(listed));
  }
  await busy.end();
  const made = await backup('create');
  assert.equal(made.state, 'verified');
});

test('restored into an empty folder, everything is there', async () => {
  const data = await mkdtemp(join(tmpdir(), 'djstream-restored-'));
  await rm(data, { recursive: true });
  const { code, said, answer } = await control(data, 'backup', 'restore', first.path, '--yes');
  assert.equal(code, 0, said);
  assert.equal(answer.id, first.id);
  const restored = await Server.start({ env: ENV, data });
  try {
    const owner = await isWhole(restored);
    const half = new Upload(owner, upload.path, upload.video);
    const offset = await half.offset();
    assert.equal(offset, 100_000);
    assert.equal(await half.send(film.subarray(offset), offset), 204);
    await owner.video(half.video);
    assert.equal(sha256(await bytes(owner, `/media/${half.video}/original`)), sha256(film));
    // What the restored instance writes does not reach the backup.
    assert.equal((await control(data, 'backup', 'verify', first.path)).code, 0);
    const again = await control(data, 'backup', 'create');
    assert.equal(again.code, 0, again.said);
  } finally {
    await restored.end();
  }
});

test('a damaged backup is refused by name, and nothing is changed', async () => {
  assert.equal((await server.down()).code, 0);
  const before = await files(server.data);
  const bent = join(server.data, 'bent');
  const name = (await readdir(join(first.path, 'media', video)))[0];
  const flip = async (path) => {
    const content = await readFile(path);
    content[Math.floor(content.length / 2)] ^= 1;
    await writeFile(path, content);
  };
  const harms = [
    ['interaction.store', (root) => flip(join(root, 'stores/interaction.store'))],
    ['video.store', async (root) => {
      const path = join(root, 'stores/video.store');
      await truncate(path, (await stat(path)).size - 100);
    }],
    ['gateway.store', (root) => rm(join(root, 'stores/gateway.store'))],
    ['manifest.json', (root) => flip(join(root, 'manifest.json'))],
    ['not a backup', (root) => rm(join(root, 'manifest.json'))],
    ['media.jsonl', (root) => flip(join(root, 'media.jsonl'))],
    [name, (root) => flip(join(root, 'media', video, name))],
    [name, (root) => rm(join(root, 'media', video, name))],
    ['this version knows 1', async (root) => {
      const path = join(root, 'manifest.json');
      await writeFile(path, (await readFile(path, 'utf8')).replace('"format": 1', '"format": 9'));
    }],
  ];
  for (const [named, harm] of harms) {
    const root = join(bent, first.id);
    await cp(first.path, root, { recursive: true, preserveTimestamps: true });
    await harm(root);
    for (const words of [['verify', root], ['restore', root, '--yes']]) {
      const refused = await control(server.data, 'backup', ...words);
      assert.equal(refused.code, 1, `${named}: ${refused.said}`);
      assert.ok(refused.said.includes(named), `${named}: ${refused.said}`);
    }
    await rm(bent, { recursive: true });
  }
  const none = await control(server.data, 'backup', 'restore', '20200101T000000Z-000000', '--yes');
  assert.equal(none.code, 3, none.said);
  assert.deepEqual(await files(server.data), before);
});

test('restored over the present data, those are kept beside it', async () => {
  const { code, said, answer } = await control(server.data, 'backup', 'restore', first.path, '--yes');
  assert.equal(code, 0, said);
  assert.deepEqual((await files(answer.replaced)).sort(), ['channel', 'gateway', 'interaction', 'media', 'notification', 'video']);
  assert.ok((await files(server.data)).every((name) => !name.startsWith('restore-')));
  const offline = await control(server.data, 'backup', 'list');
  assert.ok(offline.answer.every(({ state }) => state === 'verified'), JSON.stringify(offline.answer));
  await server.up();
  await isWhole(server);
});

test('a restore that was interrupted keeps DjStream from starting until it is finished', async () => {
  assert.equal((await server.down()).code, 0);
  // As a kill between two renames leaves it: one store is swapped, the others are not yet.
  const marker = join(server.data, 'restore-unfinished.json');
  const staging = `restore-${first.id}`;
  const names = ['gateway', 'channel', 'video', 'interaction', 'notification', 'media'];
  for (const name of names) await cp(join(server.data, name), join(server.data, staging, name), { recursive: true });
  await rm(join(server.data, 'gateway'), { recursive: true });
  await writeFile(marker, JSON.stringify({
    id: first.id,
    backup: first.path,
    units: names.map((name) => ({ present: name, staged: `${staging}/${name}`, aside: `replaced-now/${name}` })),
    folders: [staging, `${staging}/media`],
    replaced: ['replaced-now', 'replaced-now/media'],
  }));
  await assert.rejects(server.up(), /ended with 2 before it was ready/);
  assert.ok(server.tail().includes(`djstreamctl backup restore ${first.id} --yes`), server.tail());
  const other = await control(server.data, 'backup', 'restore', '20200101T000000Z-000000', '--yes');
  assert.equal(other.code, 6, other.said);
  const { code, said } = await control(server.data, 'backup', 'restore', first.id, '--yes');
  assert.equal(code, 0, said);
  await server.up();
  await isWhole(server);
});

test('a journal that has grown long starts a backup by itself', async () => {
  const small = await Server.start({ env: { ...ENV, DJSTREAM_BACKUP_JOURNAL_MAX_BYTES: String(8 << 20) } });
  try {
    const owner = await new Client(small.url).register('ada', { setupToken: await small.setupToken() });
    assert.equal((await owner.get('/api/admin/backups')).items.length, 0);
    const text = 'long '.repeat(300);
    let writing = true;
    const work = Array.from({ length: 8 }, async (_, k) => {
      const client = await new Client(small.url).register(`writer${k}`);
      await client.post('/api/channels', { handle: `writer${k}`, name: 'Writer' });
      for (let n = 0; writing; n += 1) await client.patch(`/api/channels/writer${k}`, { description: `${n} ${text}` });
    });
    const made = await eventually('a backup', async () => {
      const { answer, said } = await control(small.data, 'backup', 'schedule');
      if (answer?.lastFailure) throw Object.assign(new Error(answer.lastFailure.reason + said), { final: true });
      return answer?.items[0];
    }, { timeoutMs: 90_000, everyMs: 500 });
    writing = false;
    await Promise.all(work);
    assert.equal(made.state, 'verified');
  } finally {
    await small.end();
  }
});
