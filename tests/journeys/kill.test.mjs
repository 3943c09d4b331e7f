// Every process is killed in turn, in the middle of things: the others go on, it comes back, and nothing
// that was answered is lost or counted twice.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Client } from '../lib/api.mjs';
import { bunny } from '../lib/films.mjs';
import { Server, eventually } from '../lib/server.mjs';
import { NotificationSocket } from '../lib/socket.mjs';

const BACK_WITHIN_MS = 3_000;
const PEOPLE = 8;

let server;
let ada;
let people;
let video;
let comments = 0;

before(async () => {
  server = await Server.start({ env: { DJSTREAM_LIMITS_COMMENTS_PER_MINUTE: '10000' } });
  ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
  people = [];
  for (let n = 0; n < PEOPLE; n += 1) people.push(await new Client(server.url).register(`person${n}`));
  await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow' });
  const { bytes } = await bunny();
  video = await ada.upload(bytes, { filename: 'bunny.mp4', title: 'Rabbit', channel: 'meadow', privacy: 'public' });
  await ada.video(video);
});
after(() => server?.end());

/** Everybody likes and comments, in the middle of which `role` is killed; answers what was acknowledged. */
async function liveThrough(role) {
  const ratings = new Map();
  const texts = [];
  const work = people.map(async (person, n) => {
    for (let round = 0; round < 6; round += 1) {
      const rating = (n + round) % 2 ? 'like' : 'dislike';
      const rated = await person.call('PUT', `/api/videos/${video}/rating`, { rating }).catch(() => ({ status: 0 }));
      // What was not answered may or may not have happened; the next one decides.
      if (rated.status === 200) ratings.set(n, rating);
      else ratings.delete(n);
      const text = `${role} ${n} ${round}`;
      const said = await person.call('POST', `/api/videos/${video}/comments`, { text }).catch(() => ({ status: 0 }));
      if (said.status === 201) texts.push(text);
      else assert.ok([0, 503].includes(said.status), `${said.status} ${JSON.stringify(said.body)}`);
      if (said.status === 503) assert.ok(Number(said.headers.get('retry-after')) >= 1);
    }
  });
  await new Promise((wake) => setTimeout(wake, 40));
  const killed = await server.kill(role);
  await Promise.all(work);
  return { ratings, texts, killed };
}

for (const role of ['interaction', 'video', 'channel', 'notification-0', 'notification-1', 'gateway']) {
  test(`kill -9 of ${role}`, async () => {
    const began = performance.now();
    const { ratings, texts, killed } = await liveThrough(role);
    await eventually(`${role} is back`, async () => {
      const { status, services } = await ada.get('/api/health');
      return status === 'ok' && services.length >= 6 && (await server.children()).some((c) => c.role === role && c.pid !== killed);
    }, { timeoutMs: BACK_WITHIN_MS + 3_000 });
    assert.ok(performance.now() - began < 30_000);

    // What is not certain is settled, then all of it is compared.
    for (const [n, person] of people.entries()) {
      if (ratings.has(n)) continue;
      ratings.set(n, (await person.put(`/api/videos/${video}/rating`, { rating: 'like' })).rating);
    }
    for (const [n, person] of people.entries()) {
      assert.equal((await person.get(`/api/videos/${video}/rating`)).rating, ratings.get(n), `person${n}`);
    }
    const likes = [...ratings.values()].filter((rating) => rating === 'like').length;
    await eventually(`${likes} likes`, async () => {
      const now = await ada.get(`/api/videos/${video}`);
      return now.likes === likes && now.dislikes === PEOPLE - likes;
    }, { timeoutMs: 10_000 });

    const found = await allComments();
    for (const text of texts) assert.equal(found.filter((other) => other === text).length, 1, text);
    comments = found.length;
    await eventually('the count of comments', async () => (await ada.get(`/api/videos/${video}`)).comments === comments);
  });
}

async function allComments() {
  const texts = [];
  let token;
  do {
    const page = await ada.get(`/api/videos/${video}/comments?sort=old&limit=100${token ? `&pageToken=${token}` : ''}`);
    texts.push(...page.items.map(({ text }) => text));
    token = page.nextPageToken;
  } while (token);
  return texts;
}

test('an open socket misses nothing when the home of the notifications dies', async () => {
  let socket = await NotificationSocket.open(ada);
  const seen = [];
  const wanted = [];
  for (let n = 0; n < 12; n += 1) {
    const text = `told ${n}`;
    await people[n % PEOPLE].post(`/api/videos/${video}/comments`, { text });
    wanted.push(text);
    if (n === 5) await server.kill('notification-0');
  }
  await eventually('all of them, once, in order', async () => {
    if (socket.inner.readyState > 1) {
      seen.push(...socket.frames);
      const last = seen.at(-1)?.id;
      socket = await NotificationSocket.open(ada, last);
    }
    return [...seen, ...socket.frames].some(({ text }) => text === wanted.at(-1));
  });
  const told = [...seen, ...socket.frames].filter(({ kind, text }) => kind === 'comment' && text?.startsWith('told'));
  assert.deepEqual(told.map(({ text }) => text), wanted);
  await socket.close();
});

test('an upload goes on after the video service was killed in the middle of it', async () => {
  const { bytes } = await bunny();
  const metadata = `title ${Buffer.from('Again').toString('base64')},channel ${Buffer.from('meadow').toString('base64')}`;
  const headers = { authorization: `Bearer ${ada.token}`, 'tus-resumable': '1.0.0' };
  const created = await fetch(`${server.url}/api/uploads`, {
    method: 'POST',
    headers: { ...headers, 'upload-length': String(bytes.length), 'upload-metadata': metadata },
  });
  const location = new URL(created.headers.get('location'), server.url);
  const half = Math.floor(bytes.length / 2);
  const patch = (from, to) =>
    fetch(location, {
      method: 'PATCH',
      headers: { ...headers, 'upload-offset': String(from), 'content-type': 'application/offset+octet-stream' },
      body: bytes.subarray(from, to),
    });
  assert.equal((await patch(0, half)).status, 204);
  await server.kill('video');
  const offset = await eventually('the offset', async () => {
    const head = await fetch(location, { method: 'HEAD', headers });
    return head.status === 200 && Number(head.headers.get('upload-offset'));
  });
  assert.equal(offset, half, 'what was acknowledged is there');
  const sent = await patch(offset, bytes.length);
  assert.equal(sent.status, 204);
  const again = await patch(offset, bytes.length);
  assert.ok([204, 409].includes(again.status), `the last request again: ${again.status}`);
  const id = created.headers.get('djstream-video') ?? sent.headers.get('djstream-video');
  await ada.video(id);
  const original = Buffer.from(await (await fetch(`${server.url}/media/${id}/original`, { headers })).arrayBuffer());
  assert.ok(original.equals(bytes), 'the bytes are those that were sent');
  const mine = await ada.get('/api/me/videos');
  assert.equal(mine.items.filter(({ title }) => title === 'Again').length, 1);
});

test('the supervisor ends cleanly, and kill -9 of it leaves nobody behind', async () => {
  const before = await server.children();
  assert.ok(before.length >= 6);
  server.process.kill('SIGKILL');
  await server.exited;
  await eventually('all children have left', () =>
    before.every(({ pid }) => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    }));
  const readyMs = await server.up();
  assert.ok(readyMs < 10_000);
  assert.equal((await ada.get(`/api/videos/${video}`)).comments, comments + 12);
  assert.equal((await server.down()).code, 0);
});
