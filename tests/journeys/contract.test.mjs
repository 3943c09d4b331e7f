// The main job through the public contract alone: set up, upload, watch, like, comment, be told, find.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Client, PASSWORD, sha256 } from '../lib/api.mjs';
import { bunny, pattern } from '../lib/films.mjs';
import { Server, eventually } from '../lib/server.mjs';
import { NotificationSocket } from '../lib/socket.mjs';

let server;
let ada; // who uploads
let ben; // who watches
let guest;
let film;
const id = {};

before(async () => {
  server = await Server.start();
  guest = new Client(server.url);
  film = await bunny();
});
after(() => server?.end());

test('the first account needs the one-time token and becomes the admin', async () => {
  const body = { username: 'ada', email: 'ada@example.org', password: PASSWORD, returnRefreshToken: true };
  const without = await guest.call('POST', '/api/auth/register', body);
  assert.equal(without.status, 403);
  assert.equal(without.body.code, 'setup-required');
  const wrong = await guest.call('POST', '/api/auth/register', { ...body, setupToken: 'x'.repeat(43) });
  assert.equal(wrong.body.code, 'setup-token-invalid');
  const setupToken = await server.setupToken();
  ada = await new Client(server.url).register('ada', { setupToken });
  assert.equal(ada.user.role, 'admin');
  assert.equal((await guest.get('/api/instance')).needsSetup, false);
  await assert.rejects(server.setupToken(), { code: 'ENOENT' });
});

test('a second person registers, signs in again, and tokens rotate', async () => {
  ben = await new Client(server.url).register('ben');
  assert.equal(ben.user.role, 'user');
  const used = ben.refreshToken;
  const renewed = await ben.post('/api/auth/refresh', { refreshToken: used });
  assert.notEqual(renewed.refreshToken, used);
  assert.equal((await guest.call('POST', '/api/auth/login', { login: 'ben', password: 'not the password' })).body.code, 'login-failed');
  assert.equal((await guest.call('POST', '/api/auth/login', { login: 'nobody', password: 'not the password' })).body.code, 'login-failed');
  await ben.login('ben@example.org');
});

test('identity headers from outside count for nothing', async () => {
  const answer = await guest.call('GET', '/api/me', undefined, {
    'x-djstream-user': String(ada.user.id),
    'x-djstream-role': 'admin',
  });
  assert.equal(answer.status, 401);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
});

test('a channel, a subscriber', async () => {
  const channel = await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow', description: 'Animals.' });
  assert.equal(channel.owner, 'ada');
  assert.equal((await ada.call('POST', '/api/channels', { handle: 'meadow', name: 'Again' })).body.code, 'handle-taken');
  await ben.put('/api/channels/meadow/subscription', { notify: 'all' });
  await ben.put('/api/channels/meadow/subscription', { notify: 'all' });
  await eventually('one subscriber', async () => (await guest.get('/api/channels/meadow')).subscribers === 1);
});

test('an upload is playable soon, with the bytes that were sent', async () => {
  ben.socket = await NotificationSocket.open(ben);
  id.bunny = await ada.upload(film.bytes, {
    filename: 'bunny.mp4',
    title: 'Rabbit in the meadow',
    description: 'A rabbit wakes up. At 0:02 it yawns.',
    channel: 'meadow',
    privacy: 'public',
    tags: 'animals,rabbit',
    sha256: sha256(film.bytes),
  });
  const video = await ada.video(id.bunny);
  assert.equal(video.title, 'Rabbit in the meadow');
  assert.ok(Math.abs(video.duration - 5.3) < 0.2, `duration ${video.duration}`);
  assert.equal(video.channel.handle, 'meadow');

  const master = await (await fetch(server.url + video.playback.hls)).text();
  assert.match(master, /#EXT-X-STREAM-INF:.*RESOLUTION=1280x720/);
  assert.match(master, /CODECS="avc1[^"]*,mp4a[^"]*"/);
  const file = video.playback.files.find(({ height }) => height === 720);
  const whole = Buffer.from(await (await fetch(server.url + file.url)).arrayBuffer());
  assert.equal(whole.length, file.bytes);
  const part = await fetch(server.url + file.url, { headers: { range: 'bytes=100-199' } });
  assert.equal(part.status, 206);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(100, 200));
});

test('a lower rendition and the poster follow', async () => {
  const video = await eventually('480p', async () => {
    const now = await guest.get(`/api/videos/${id.bunny}`);
    return now.renditions.some(({ height }) => height === 480) && now.thumbnailUrl && now;
  }, { timeoutMs: 90_000 });
  const master = await (await fetch(server.url + video.playback.hls)).text();
  assert.equal(master.match(/#EXT-X-STREAM-INF/g).length, 2);
  const poster = await fetch(server.url + video.thumbnailUrl);
  assert.equal(poster.status, 200);
  assert.match(poster.headers.get('content-type'), /^image\//);
  const { jobs } = await ada.get(`/api/videos/${id.bunny}/processing`);
  await eventually('all steps done', async () => {
    const { jobs } = await ada.get(`/api/videos/${id.bunny}/processing`);
    return jobs.every(({ state }) => state === 'done');
  });
  assert.ok(jobs.length >= 3);
});

test('the subscriber is told of the new video over the socket, and finds it in the feed', async () => {
  const told = await ben.socket.frame('new-video', ({ kind, videoId }) => kind === 'new-video' && videoId === id.bunny);
  assert.equal(told.videoTitle, 'Rabbit in the meadow');
  const feed = await ben.get('/api/me/feed');
  assert.deepEqual(feed.items.map((item) => item.id), [id.bunny]);
});

test('a like counts once, is read back at once, and reaches the owner', async () => {
  ada.socket = await NotificationSocket.open(ada);
  for (let round = 0; round < 3; round += 1) {
    assert.deepEqual(await ben.put(`/api/videos/${id.bunny}/rating`, { rating: 'like' }), { rating: 'like' });
    assert.deepEqual(await ben.get(`/api/videos/${id.bunny}/rating`), { rating: 'like' });
  }
  await eventually('one like', async () => (await guest.get(`/api/videos/${id.bunny}`)).likes === 1);
  const told = await ada.socket.frame('like', ({ kind, videoId }) => kind === 'like' && videoId === id.bunny);
  assert.equal(told.count, 1);
  assert.equal(told.actor.username, 'ben');
});

test('comments and replies are kept and told of', async () => {
  const comment = await ben.post(`/api/videos/${id.bunny}/comments`, { text: 'What a <b>rabbit</b> at 0:02!' });
  assert.equal(comment.text, 'What a <b>rabbit</b> at 0:02!');
  const told = await ada.socket.frame('comment', ({ kind, commentId }) => kind === 'comment' && commentId === comment.id);
  assert.match(told.text, /What a/);
  const reply = await ada.post(`/api/videos/${id.bunny}/comments`, { text: '@ben thank you', parentId: comment.id });
  await ben.socket.frame('reply', ({ commentId }) => commentId === reply.id);
  const { items } = await guest.get(`/api/videos/${id.bunny}/comments?sort=new`);
  assert.equal(items.length, 1);
  await eventually('the reply counts', async () =>
    (await guest.get(`/api/videos/${id.bunny}/comments?sort=new`)).items[0].replies === 1);
  assert.equal((await guest.get(`/api/comments/${comment.id}/replies`)).items[0].id, reply.id);
  assert.equal((await guest.call('POST', `/api/videos/${id.bunny}/comments`, { text: 'no' })).status, 401);
});

test('what was missed while away comes once, in order', async () => {
  const last = ada.socket.frames.at(-1).id;
  await ada.socket.close();
  const texts = ['first', 'second', 'third'];
  for (const text of texts) await ben.post(`/api/videos/${id.bunny}/comments`, { text });
  ada.socket = await NotificationSocket.open(ada, last);
  await ada.socket.frame('third', ({ text }) => text === 'third');
  assert.deepEqual(ada.socket.frames.map(({ text }) => text), texts);
  const inbox = await ada.get('/api/notifications');
  assert.deepEqual(inbox.items.slice(0, 3).map(({ text }) => text), texts.toReversed());
  const { unread } = await ada.get('/api/notifications/unread-count');
  await ada.post('/api/notifications/read', { upTo: inbox.items[0].id });
  assert.ok(unread >= 3);
  assert.equal((await ada.get('/api/notifications/unread-count')).unread, 0);
});

test('a view counts once a viewer, after ten seconds or half of the film', async () => {
  const views = async () => (await guest.get(`/api/videos/${id.bunny}`)).views;
  const beat = (client, body) => client.post(`/api/videos/${id.bunny}/views`, body);
  assert.equal((await beat(ben, { sessionId: 'page-ben-0001', positionSeconds: 1, watchedSeconds: 1 })).counted, false);
  assert.equal(await views(), 0);
  assert.equal((await beat(ben, { sessionId: 'page-ben-0001', positionSeconds: 3, watchedSeconds: 3 })).counted, true);
  await beat(ben, { sessionId: 'page-ben-0002', positionSeconds: 5, watchedSeconds: 5 });
  await beat(guest, { sessionId: 'page-guest-01', positionSeconds: 4, watchedSeconds: 4 });
  await eventually('two views', async () => (await views()) === 2);
  const me = await ben.get(`/api/videos/${id.bunny}/me`);
  assert.equal(me.rating, 'like');
  assert.equal(me.subscribed, true);
  const history = await ben.get('/api/me/history');
  assert.equal(history.items[0].video.id, id.bunny);
});

test('the film is found with typing errors, and ahead of others', async () => {
  const clip = await pattern('tone.mp4', { args: ['-c:v', 'libx264', '-g', '50', '-c:a', 'aac', '-pix_fmt', 'yuv420p'] });
  id.tone = await ada.upload(clip.bytes, { filename: 'tone.mp4', title: 'A test tone', channel: 'meadow', privacy: 'public' });
  id.secret = await ada.upload(clip.bytes, { filename: 's.mp4', title: 'Secret rabbit', channel: 'meadow', privacy: 'private' });
  await ada.video(id.tone);
  await ada.video(id.secret);
  const found = await eventually('rabit medow', async () => {
    const { items } = await guest.get('/api/search?q=rabit%20medow');
    return items.length > 0 && items;
  });
  assert.equal(found[0].video.id, id.bunny);
  assert.equal((await guest.get('/api/search?q=xylophone%20concert')).items.length, 0);
  await eventually('one finds one\'s own private film', async () =>
    (await ada.get('/api/search?q=secret')).items.some(({ video }) => video.id === id.secret));
  assert.equal((await guest.get('/api/search?q=secret')).items.length, 0);
});

test('a private film is nowhere for others', async () => {
  for (const path of [`/api/videos/${id.secret}`, `/media/${id.secret}/master.m3u8`, `/media/${id.secret}/360.mp4`,
    `/media/${id.secret}/original`, `/api/videos/${id.secret}/comments`, `/api/videos/${id.secret}/related`]) {
    for (const who of [guest, ben]) assert.equal((await who.call('GET', path)).status, 404, path);
  }
  assert.equal((await ben.call('PUT', `/api/videos/${id.secret}/rating`, { rating: 'like' })).status, 404);
  assert.equal((await ben.call('PATCH', `/api/videos/${id.secret}`, { title: 'mine now' })).status, 404);
  assert.equal((await ben.call('PATCH', `/api/videos/${id.tone}`, { title: 'mine now' })).status, 403);
  assert.equal((await ada.call('GET', `/media/${id.secret}/master.m3u8`)).status, 200);
});

test('recommendations differ by viewer and say why', async () => {
  const cleo = await new Client(server.url).register('cleo');
  const forBen = await eventually('a reason of ben\'s own', async () => {
    const { items } = await ben.get('/api/recommendations');
    return items.find(({ video, reason }) => video.id === id.tone && reason.kind !== 'popular' && reason.kind !== 'new');
  });
  assert.ok(forBen.reason.text.length > 0);
  const { items: forCleo } = await cleo.get('/api/recommendations');
  assert.ok(forCleo.length >= 2);
  assert.ok(forCleo.every(({ reason }) => ['popular', 'new'].includes(reason.kind)), JSON.stringify(forCleo));
  const { items: related } = await guest.get(`/api/videos/${id.bunny}/related`);
  assert.deepEqual(related.map(({ video }) => video.id), [id.tone]);
});

test('a playlist keeps its order and its privacy', async () => {
  const list = await ben.post('/api/playlists', { title: 'Evening', privacy: 'public' });
  const first = await ben.post(`/api/playlists/${list.id}/items`, { videoId: id.bunny });
  const second = await ben.post(`/api/playlists/${list.id}/items`, { videoId: id.tone });
  const again = await ben.post(`/api/playlists/${list.id}/items`, { videoId: id.bunny, startSeconds: 2 });
  await ben.patch(`/api/playlists/${list.id}/items/${again.id}`, { position: 0 });
  const { items } = await guest.get(`/api/playlists/${list.id}/items`);
  assert.deepEqual(items.map((item) => item.id), [again.id, first.id, second.id]);
  assert.equal(items[0].startSeconds, 2);
  await ben.patch(`/api/playlists/${list.id}`, { privacy: 'private' });
  assert.equal((await guest.call('GET', `/api/playlists/${list.id}`)).status, 404);
  assert.equal((await ada.call('GET', `/api/playlists/${list.id}/items`)).status, 404);
});

test('a file that is no film fails with a sentence, and blocks nothing', async () => {
  id.text = await ada.upload(Buffer.from('This is a letter, not a film.\n'.repeat(50)), {
    filename: 'letter.mp4', title: 'A letter', channel: 'meadow', privacy: 'public',
  });
  const failed = await ada.video(id.text, ['failed']);
  assert.ok(failed.failure.length > 20, failed.failure);
  assert.equal((await guest.call('GET', `/api/videos/${id.text}`)).status, 404);
  await ada.socket.frame('processing-failed', ({ kind, videoId }) => kind === 'processing-failed' && videoId === id.text);
  const playlist = await ada.upload(Buffer.from('#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n'), {
    filename: 'list.mp4', title: 'A trap', channel: 'meadow', privacy: 'public',
  });
  await ada.video(playlist, ['failed']);
  const webm = await pattern('needs-encoding.mkv', { args: ['-c:v', 'mpeg4', '-q:v', '5', '-c:a', 'libmp3lame'] });
  const encoded = await ada.upload(webm.bytes, { filename: 'old.mkv', title: 'An old film', channel: 'meadow', privacy: 'unlisted' });
  const video = await ada.video(encoded, ['published'], { timeoutMs: 90_000 });
  assert.ok(video.renditions.length > 0);
});

test('bad requests get stable codes', async () => {
  const code = async (...call) => {
    const answer = await ada.call(...call);
    assert.equal(answer.headers.get('content-type'), 'application/problem+json', call.join(' '));
    return [answer.status, answer.body.code];
  };
  assert.deepEqual(await code('POST', '/api/channels', { handle: 'x y', name: '' }), [422, 'invalid-field']);
  assert.deepEqual(await code('POST', '/api/channels', { handle: 'fine', name: 'Fine', colour: 'red' }), [422, 'unknown-field']);
  assert.deepEqual(await code('GET', '/api/videos?limit=1000'), [422, 'invalid-field']);
  assert.deepEqual(await code('GET', '/api/videos?pageToken=nonsense'), [422, 'invalid-page-token']);
  assert.deepEqual(await code('GET', '/api/videos/nonsense'), [404, 'not-found']);
  assert.deepEqual(await code('GET', '/api/no/such/thing'), [404, 'not-found']);
  assert.deepEqual(await code('DELETE', '/api/auth/login'), [405, 'method-not-allowed']);
});

test('everything is still there after a restart', async () => {
  const { code } = await server.down();
  assert.equal(code, 0);
  await server.up();
  const video = await guest.get(`/api/videos/${id.bunny}`);
  assert.equal(video.likes, 1);
  assert.equal(video.comments, 5);
  assert.equal((await ben.get(`/api/videos/${id.bunny}/rating`)).rating, 'like');
  assert.ok((await ada.get('/api/notifications')).items.length > 3);
  assert.ok((await guest.get('/api/search?q=rabit')).items.length > 0);
});

test('a deleted film is gone, with all that hung on it', async () => {
  await ada.delete(`/api/videos/${id.tone}`);
  assert.equal((await guest.call('GET', `/api/videos/${id.tone}`)).status, 404);
  assert.equal((await guest.call('GET', `/media/${id.tone}/master.m3u8`)).status, 404);
  await eventually('not found any more', async () => (await guest.get('/api/search?q=tone')).items.length === 0);
  assert.deepEqual((await guest.get('/api/channels/meadow/videos')).items.map((item) => item.id), [id.bunny]);
});
