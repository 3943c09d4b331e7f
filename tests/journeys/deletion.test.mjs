// A deletion reaches everything: first a video, then an account with all that hangs on it, and in the middle of both
// every service is killed. Then the server is stopped, and nothing that is live names them any more.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { Client, PASSWORD } from '../lib/api.mjs';
import { settle, tinyFilm } from '../lib/community.mjs';
import { filesWith, recordsWith } from '../lib/leftovers.mjs';
import { CONTROL_PROGRAM, Server, eventually } from '../lib/server.mjs';
import { NotificationSocket } from '../lib/socket.mjs';
import { Upload } from '../lib/tus.mjs';

const NAME = 'zebulon.quist';
const COMMENTS = 90;
const SERVICES = ['channel', 'gateway', 'interaction', 'notification', 'video'];

let server;
let film;
let people;
let videos;
let zebulon;
/** What nothing may name in the end: ids and words. */
let traces;
/** What others have when the account is gone, as it was before it came. */
let untouched;

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

async function control(...args) {
  const { stdout } = await promisify(execFile)(CONTROL_PROGRAM, ['--data', server.data, '-o', 'json', ...args]);
  return stdout ? JSON.parse(stdout) : undefined;
}

/** What others can see that a person changes by what they do. */
async function standing() {
  const { ada, guest } = people;
  const { likes, dislikes, comments } = await guest.get(`/api/videos/${videos.second}`);
  const { subscribers } = await guest.get('/api/channels/meadow');
  const channels = (await ada.get('/api/me/subscriptions')).items.length;
  return { likes, dislikes, comments, subscribers, channels };
}

before(async () => {
  const env = { DJSTREAM_LIMITS_COMMENTS_PER_MINUTE: '10000', DJSTREAM_LIMITS_INTERACTIONS_PER_MINUTE: '10000' };
  server = await Server.start({ env });
  film = await tinyFilm();
  ({ people, videos } = await settle(server, film));
});
after(() => server?.end());

test('a video leaves playlists, histories, inboxes, search and the disk, whoever is killed meanwhile', async () => {
  const { ada, ben, cleo, guest } = people;
  const id = videos.open;
  await ben.post('/api/recommendations/feedback', { videoId: id, verdict: 'less' });
  const inbox = (await ada.get('/api/notifications?limit=100')).items;
  assert.ok(inbox.some(({ videoId }) => videoId === id));
  await ada.delete(`/api/videos/${id}`);
  for (const role of ['interaction', 'channel', 'notification-0', 'video']) {
    await server.kill(role);
    await pause(60);
  }
  await eventually('nobody finds it', async () => (await guest.call('GET', `/api/videos/${id}`)).status === 404);
  await eventually('it left the inbox', async () => {
    const { items } = await ada.get('/api/notifications?limit=100');
    return !items.some(({ videoId, videoTitle }) => videoId === id || videoTitle === 'Rain over the meadow');
  });
  await eventually('it left playlists', async () => {
    for (const who of [ben, cleo]) {
      const { items: lists } = await who.get('/api/me/playlists');
      for (const list of lists) {
        const { items } = await who.get(`/api/playlists/${list.id}/items`);
        if (items.some(({ video }) => !video) || list.items !== items.length) return false;
      }
    }
    return true;
  });
  await eventually('it left search', async () =>
    (await guest.get('/api/search?q=rain')).items.every(({ video }) => video.id !== id));
  await eventually('it left histories', async () =>
    (await ben.get('/api/me/history')).items.every(({ video }) => video.id !== id));
  untouched = await standing();
});

test('somebody lives here, and is in every database', async () => {
  const { ada, ben, cleo, dora } = people;
  zebulon = await new Client(server.url).register(NAME);
  await zebulon.patch('/api/me', { displayName: 'Zeb Quistorius', bio: 'Quistorian chronicles.' });
  const channel = await zebulon.post('/api/channels', { handle: 'quistery', name: 'The Quistery' });
  const own = [];
  for (const title of ['Quist one', 'Quist two']) {
    own.push(await zebulon.upload(film, { filename: 'quist.mp4', title, channel: 'quistery', privacy: 'public' }));
  }
  for (const id of own) await zebulon.video(id);
  const half = await Upload.create(zebulon, film.length, { filename: 'h.mp4', title: 'Quist half', channel: 'quistery' });
  assert.equal(await half.send(film.subarray(0, 5_000), 0), 204);

  // What others do with what is theirs.
  for (const who of [ada, ben, cleo]) {
    await who.put('/api/channels/quistery/subscription', { notify: 'all' });
    await who.put(`/api/videos/${own[0]}/rating`, { rating: 'like' });
    const said = await who.post(`/api/videos/${own[0]}/comments`, { text: 'A fine film' });
    await zebulon.post(`/api/videos/${own[0]}/comments`, { text: 'Quist thanks you', parentId: said.id });
    const beat = { sessionId: `page-${who.user.username}-0002`, positionSeconds: 1.5, watchedSeconds: 1.5 };
    await who.post(`/api/videos/${own[0]}/views`, beat);
  }
  const shelf = await ben.post('/api/playlists', { title: 'Shelf', privacy: 'private' });
  for (const id of own) await ben.post(`/api/playlists/${shelf.id}/items`, { videoId: id });
  await dora.post('/api/recommendations/feedback', { channel: 'quistery', verdict: 'less' });
  await dora.post('/api/recommendations/feedback', { videoId: own[1], verdict: 'never' });

  // What they do with what is others'.
  const to = videos.second;
  await zebulon.put('/api/channels/meadow/subscription', { notify: 'all' });
  await zebulon.put(`/api/videos/${to}/rating`, { rating: 'like' });
  await zebulon.put(`/api/videos/${videos.moon}/rating`, { rating: 'dislike' });
  await dora.put(`/api/videos/${to}/rating`, { rating: 'like' });
  await zebulon.post(`/api/videos/${to}/views`, { sessionId: 'page-zebulon-1', positionSeconds: 1.5, watchedSeconds: 1.5 });
  const list = await zebulon.post('/api/playlists', { title: 'Quist list', description: 'Quist words', privacy: 'public' });
  await zebulon.post(`/api/playlists/${list.id}/items`, { videoId: to, note: 'quist note' });
  const { items: lists } = await zebulon.get('/api/me/playlists');
  const later = lists.find(({ kind }) => kind === 'watch-later');
  await zebulon.post(`/api/playlists/${later.id}/items`, { videoId: to });
  const answered = await zebulon.post(`/api/videos/${to}/comments`, { text: 'Quist asks' });
  await ben.post(`/api/videos/${to}/comments`, { text: 'I answer', parentId: answered.id });
  const long = await zebulon.post(`/api/videos/${to}/comments`, { text: 'Quist tells. '.repeat(700) });
  await cleo.put(`/api/comments/${long.id}/rating`, { rating: 'like' });
  const others = await ben.post(`/api/videos/${to}/comments`, { text: 'Mine stays' });
  await zebulon.put(`/api/comments/${others.id}/rating`, { rating: 'like' });
  for (let n = 0; n < COMMENTS; n += 1) {
    await zebulon.post(`/api/videos/${to}/comments`, { text: `Quist ${n} @ada` });
  }
  const { kinds } = await zebulon.get('/api/notifications/preferences');
  await zebulon.put('/api/notifications/preferences', { kinds: kinds.map(({ kind }) => ({ kind, page: kind !== 'like' })) });
  await zebulon.post('/api/recommendations/feedback', { videoId: to, verdict: 'less' });
  const key = { 'idempotency-key': 'quist-key-000001' };
  const once = await zebulon.call('POST', `/api/videos/${to}/comments`, { text: 'Quist once' }, key);
  assert.equal(once.status, 201);
  traces = [
    zebulon.user.id, ...own, half.video, channel.id, list.id, later.id, answered.id === long.id ? '' : long.id,
    NAME, 'quistery', 'Quist',
  ].filter(Boolean);

  await eventually('it has arrived', async () => {
    const { items } = await ada.get('/api/notifications?limit=100');
    const { comments } = await people.guest.get(`/api/videos/${to}`);
    return items.some(({ actor }) => actor?.username === NAME) && comments === untouched.comments + COMMENTS + 5;
  });
  await eventually('the recommender knows them', async () => (await control('queue', 'list')).every(({ ready }) => ready === 0));
  await server.down();
  const found = new Set((await recordsWith(server.data, zebulon.user.id)).map(({ service }) => service));
  assert.deepEqual([...found].sort(), SERVICES);
  assert.ok((await filesWith(server.data, own[0])).length > 0);
  await server.up();
});

test('the last admin stays, and a wrong password ends nothing', async () => {
  const last = await people.ada.call('DELETE', '/api/me', { password: PASSWORD });
  assert.equal(last.status, 409, JSON.stringify(last.body));
  const byId = await people.ada.call('DELETE', `/api/admin/users/${people.ada.user.id}`);
  assert.equal(byId.status, 409);
  const wrong = await zebulon.call('DELETE', '/api/me', { password: 'something else entirely' });
  assert.equal(wrong.body.code, 'invalid-field');
  assert.equal((await zebulon.call('GET', '/api/me')).status, 200);
  assert.equal((await people.ben.call('DELETE', `/api/admin/users/${zebulon.user.id}`)).status, 403);
});

test('an account ends at once, and all that hangs on it follows, whoever is killed meanwhile', async () => {
  const socket = await NotificationSocket.open(zebulon);
  const answer = await zebulon.call('DELETE', '/api/me', { password: PASSWORD });
  assert.equal(answer.status, 204);
  const deletedAt = performance.now();
  assert.equal((await zebulon.call('GET', '/api/me')).status, 401);
  await Promise.race([socket.closed, pause(10_000).then(() => assert.fail('the socket stays open'))]);
  assert.ok(performance.now() - deletedAt < 10_000);
  const [waiting] = (await people.ada.get('/api/admin/deletions')).items;
  if (waiting) assert.equal(waiting.username, NAME);

  for (const role of ['interaction', 'video', 'channel', 'gateway', 'notification-0', 'interaction', 'channel', 'video']) {
    await eventually(`${role} can be killed`, () => server.kill(role).catch(() => false));
    await pause(80);
  }
  await eventually('the deletion is done', async () => (await people.ada.get('/api/admin/deletions')).items.length === 0, {
    timeoutMs: 90_000,
  });

  const { ada, ben, cleo, guest } = people;
  assert.deepEqual(await standing(), {
    ...untouched,
    // Dora's like, Ben's two comments and the stone of the one that he answered.
    likes: untouched.likes + 1,
    comments: untouched.comments + 2,
  });
  const { items: comments } = await guest.get(`/api/videos/${videos.second}/comments?sort=old&limit=100`);
  assert.deepEqual(comments.map(({ deleted, text, replies }) => [deleted, text, replies]).slice(-2), [
    [true, '', 1],
    [false, 'Mine stays', 0],
  ]);
  assert.equal(comments.at(-1).likes, 0);
  for (const who of [ada, ben, cleo]) {
    const { items } = await who.get('/api/notifications?limit=100');
    assert.deepEqual(items.filter((item) => JSON.stringify(item).includes('uist')), []);
    const { unread } = await who.get('/api/notifications/unread-count');
    assert.equal(unread, items.filter(({ read }) => !read).length);
  }
  const merged = (await ada.get('/api/notifications?limit=100')).items.filter(({ kind, videoId }) =>
    kind === 'like' && videoId === videos.second);
  assert.equal(merged.length, 1);
});

test('the name stays theirs, the address is free', async () => {
  const login = await new Client(server.url).call('POST', '/api/auth/login', { login: NAME, password: PASSWORD });
  assert.equal(login.status, 401);
  const refresh = await new Client(server.url).call('POST', '/api/auth/refresh', { refreshToken: zebulon.refreshToken });
  assert.equal(refresh.status, 401);
  const register = (username) =>
    new Client(server.url).call('POST', '/api/auth/register', { username, email: `${NAME}@example.org`, password: PASSWORD });
  assert.equal((await register(NAME)).body.code, 'username-taken');
  assert.equal((await register('zeb2')).status, 201);
  const handle = await people.ben.call('POST', '/api/channels', { handle: 'quistery', name: 'Mine now' });
  assert.equal(handle.body.code, 'handle-taken');
  // The account with the old address goes as well, by the admin's command.
  await assert.rejects(control('user', 'delete', 'zeb2'), /--yes/);
  await control('user', 'delete', 'zeb2', '--yes');
  await eventually('it is gone', async () => (await control('user', 'deletions')).length === 0);
});

test('what cannot be removed is shown with its reason, and done when it can', async () => {
  const vera = await new Client(server.url).register('vera');
  await vera.post('/api/channels', { handle: 'vera', name: 'Vera' });
  const id = await vera.upload(film, { filename: 'v.mp4', title: 'Vera', channel: 'vera', privacy: 'public' });
  await vera.video(id);
  await eventually('all steps are done', async () =>
    (await vera.get(`/api/videos/${id}/processing`)).jobs.every(({ state }) => state === 'done'));
  // Where its folder was is something that cannot be removed as one.
  const folder = join(server.data, 'media', id);
  await rename(folder, `${folder}.aside`);
  await writeFile(folder, 'not a folder');
  await control('user', 'delete', 'vera', '--yes');
  const stuck = await eventually('it is stuck', async () => {
    const [deletion] = await control('user', 'deletions');
    return deletion?.stuck.length > 0 && deletion;
  });
  assert.equal(stuck.username, 'vera');
  assert.equal(stuck.stuck[0].service, 'video');
  assert.match(stuck.stuck[0].reason, /remove/);
  await rm(folder);
  await mkdir(folder);
  await rm(`${folder}.aside`, { recursive: true });
  await control('user', 'retry-deletion', stuck.id);
  await eventually('it is done', async () => (await control('user', 'deletions')).length === 0);
});

test('nothing that is live names any of it', async () => {
  await server.down();
  const all = [videos.open, ...traces, `${NAME}@example.org`];
  const records = await recordsWith(server.data, ...all);
  const places = records.map(({ text, service, table, place }) => `${text}: ${service} ${table} ${place}`);
  assert.deepEqual([...new Set(places)], []);
  for (const trace of all) assert.deepEqual(await filesWith(server.data, trace), [], trace);
  // The looking itself works: somebody who stays is found.
  assert.ok((await recordsWith(server.data, people.ben.user.id)).length > 10);
  assert.ok((await filesWith(server.data, videos.second)).length > 0);
});
