// A small community with a bit of everything in it, made through the public contract.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Client } from './api.mjs';
import { eventually } from './server.mjs';
import { Upload } from './tus.mjs';

/** Two seconds of 160×90 with a tone: some 20 kB. */
export async function tinyFilm() {
  const folder = await mkdtemp(join(tmpdir(), 'djstream-film-'));
  const path = join(folder, 'tiny.mp4');
  const inputs = ['-f', 'lavfi', '-i', 'testsrc2=size=160x90:rate=25', '-f', 'lavfi', '-i', 'sine=frequency=440'];
  const codecs = ['-c:v', 'libx264', '-crf', '40', '-g', '50', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '16k'];
  await promisify(execFile)('ffmpeg', ['-v', 'error', ...inputs, '-t', '2', ...codecs, path]);
  const bytes = await readFile(path);
  await rm(folder, { recursive: true });
  return bytes;
}

/**
 * Makes everything that `ada`, `ben`, `cleo` and a guest can know of, and apart from it a film of `dora`,
 * with whom things may still happen while the others' answers have to stay the same. Waits until all of
 * it has arrived everywhere, and answers who and what there is.
 */
export async function settle(server, film) {
  const people = await register(server);
  const { ada, ben, cleo, dora } = people;
  await dora.post('/api/channels', { handle: 'night', name: 'The Night' });
  await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow', description: 'Animals and weather.' });
  await ben.post('/api/channels', { handle: 'pond', name: 'The Pond' });
  await ben.put('/api/channels/meadow/subscription', { notify: 'all' });
  await cleo.put('/api/channels/meadow/subscription', { notify: 'none' });
  await ada.put('/api/channels/pond/subscription', { notify: 'all' });
  const videos = await publish(ada, film);
  const moon = await dora.upload(film, { filename: 'moon.mp4', title: 'The moon', channel: 'night', privacy: 'unlisted' });
  await dora.video(moon);
  await cleo.put(`/api/videos/${moon}/rating`, { rating: 'like' });
  const comments = await talk(people, videos.open);
  await watch(people, videos);
  const playlist = await ben.post('/api/playlists', { title: 'Evening', description: 'For later.', privacy: 'public' });
  const first = await ben.post(`/api/playlists/${playlist.id}/items`, { videoId: videos.open });
  await ben.post(`/api/playlists/${playlist.id}/items`, { videoId: videos.second, note: 'again', startSeconds: 1 });
  await ben.patch(`/api/playlists/${playlist.id}/items/${first.id}`, { position: 1 });
  const secret = await cleo.post('/api/playlists', { title: 'Mine', privacy: 'private' });
  await cleo.post(`/api/playlists/${secret.id}/items`, { videoId: videos.open });
  await cleo.put('/api/me/history/paused', { paused: true });
  const { kinds } = await cleo.get('/api/notifications/preferences');
  await cleo.put('/api/notifications/preferences', {
    kinds: kinds.map(({ kind, page }) => ({ kind, page: kind === 'reply' ? false : page })),
  });
  const upload = await Upload.create(ada, film.length, { filename: 'half.mp4', title: 'Half a meadow', channel: 'meadow' });
  const half = Math.floor(film.length / 2);
  if ((await upload.send(film.subarray(0, half), 0)) !== 204) throw new Error('half an upload was refused');
  await arrived(people, videos.open);
  const known = {
    channels: ['meadow', 'pond'],
    videos: Object.values(videos),
    playlists: [playlist.id, secret.id],
  };
  return { people, videos: { ...videos, moon }, comments, known, upload: { path: upload.path, offset: half } };
}

async function register(server) {
  const ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
  const ben = await new Client(server.url).register('ben');
  const cleo = await new Client(server.url).register('cleo');
  const dora = await new Client(server.url).register('dora');
  await ben.patch('/api/me', { displayName: 'Benjamin 🚲', bio: 'Rides, films,\nwrites.' });
  return { ada, ben, cleo, dora, guest: new Client(server.url) };
}

async function publish(ada, film) {
  const common = { filename: 'film.mp4', channel: 'meadow' };
  const open = await ada.upload(film, {
    ...common,
    title: 'Rain over the meadow',
    description: 'It rains. 0:01 and stops.',
    privacy: 'public',
    tags: 'rain,meadow',
  });
  const second = await ada.upload(film, { ...common, title: 'Sun over the meadow', privacy: 'public' });
  const secret = await ada.upload(film, { ...common, title: 'The secret meadow', privacy: 'private' });
  const failed = await ada.upload(Buffer.from('A letter about a meadow, not a film.\n'.repeat(20)), {
    ...common,
    title: 'A letter',
    privacy: 'public',
  });
  for (const id of [open, second, secret]) await ada.video(id);
  await ada.video(failed, ['failed']);
  for (const id of [open, second, secret]) {
    await eventually('all steps done', async () =>
      (await ada.get(`/api/videos/${id}/processing`)).jobs.every(({ state }) => state === 'done'));
  }
  await ada.put(`/api/videos/${open}/chapters`, [{ startSeconds: 0, title: 'Rain' }, { startSeconds: 1, title: 'Sun' }]);
  const captions = await fetch(`${ada.url}/api/videos/${open}/captions/en`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${ada.token}`, 'content-type': 'text/vtt' },
    body: 'WEBVTT\n\n00:00.000 --> 00:01.500\nRain on the grass\n',
  });
  if (!captions.ok) throw new Error(`captions: ${captions.status} ${await captions.text()}`);
  return { open, second, secret, failed };
}

async function talk({ ada, ben, cleo }, video) {
  const say = (who, text, parentId) => who.post(`/api/videos/${video}/comments`, { text, ...(parentId ? { parentId } : {}) });
  const first = await say(ben, 'What a rain! See 0:01');
  await say(ada, '@ben thank you', first.id);
  await say(cleo, 'I was there too', first.id);
  const long = await say(cleo, `A long story: ${'and then it rained again, '.repeat(380)}the end.`);
  await ben.put(`/api/comments/${long.id}/rating`, { rating: 'like' });
  const edited = await say(ben, 'A tipo');
  await ben.patch(`/api/comments/${edited.id}`, { text: 'A typo' });
  const tombstone = await say(cleo, 'I take this back');
  await say(ben, 'Why?', tombstone.id);
  await cleo.delete(`/api/comments/${tombstone.id}`);
  return { first: first.id, long: long.id, edited: edited.id };
}

async function watch({ ada, ben, cleo }, { open, second }) {
  await ben.put(`/api/videos/${open}/rating`, { rating: 'like' });
  await ada.put(`/api/videos/${open}/rating`, { rating: 'like' });
  await cleo.put(`/api/videos/${open}/rating`, { rating: 'like' });
  await cleo.put(`/api/videos/${open}/rating`, { rating: 'dislike' });
  await cleo.put(`/api/videos/${second}/rating`, { rating: 'like' });
  for (const [who, video] of [[ben, open], [ben, second], [cleo, open]]) {
    const beat = { sessionId: `page-${who.user.username}-0001`, positionSeconds: 1.5, watchedSeconds: 1.5 };
    await who.post(`/api/videos/${video}/views`, beat);
  }
}

/** Waits for what follows within a second: counts, the inbox, the search index. */
async function arrived({ ada, ben, guest }, video) {
  await eventually('counts', async () => {
    const { likes, dislikes, views, comments } = await guest.get(`/api/videos/${video}`);
    return likes === 2 && dislikes === 1 && views === 2 && comments === 6;
  });
  await eventually('the inbox of ada', async () => {
    const { items } = await ada.get('/api/notifications?limit=100');
    const kinds = items.map(({ kind }) => kind);
    return ['like', 'comment', 'subscriber', 'processing-failed'].every((kind) => kinds.includes(kind));
  });
  await eventually('the inbox of ben', async () => (await ben.get('/api/notifications')).items.length >= 4);
  await eventually('search', async () => (await guest.get('/api/search?q=meadow')).items.length === 2);
}
