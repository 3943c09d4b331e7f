// All that a community is told about itself: what every person is answered, and the bytes of every film.
// Two portraits of one community are equal, before and after a restart, a new version or a restore.

import { sha256 } from './api.mjs';

/** Asks everything as these people (`{ name: Client }`, signed in); `guest` is not signed in. */
export async function portrait(people, { channels, videos, playlists }) {
  const answers = {};
  for (const [name, client] of Object.entries(people)) {
    answers[name] = {};
    for (const path of paths(client, { channels, videos, playlists })) {
      const answer = await client.call('GET', path);
      answers[name][path] = answer.status === 200 ? await whole(client, path, answer.body) : answer.status;
    }
    for (const path of await media(client, videos)) answers[name][path] = await bytes(client, path);
  }
  return answers;
}

function paths(client, { channels, videos, playlists }) {
  const open = [
    '/api/videos?sort=new',
    '/api/search?q=meadow',
    ...channels.flatMap((handle) => ['', '/videos?sort=new', '/playlists'].map((end) => `/api/channels/${handle}${end}`)),
    ...videos.flatMap((id) => ['', '/comments?sort=old'].map((end) => `/api/videos/${id}${end}`)),
    ...playlists.flatMap((id) => [`/api/playlists/${id}`, `/api/playlists/${id}/items`]),
  ];
  if (!client.token) return open;
  const own = ['', '/channels', '/subscriptions', '/feed', '/playlists', '/videos', '/history', '/history/paused'];
  return [
    ...open,
    ...own.map((end) => `/api/me${end}`),
    ...videos.flatMap((id) => ['/me', '/rating', '/processing'].map((end) => `/api/videos/${id}${end}`)),
    '/api/notifications?limit=100',
    '/api/notifications/unread-count',
    '/api/notifications/preferences',
  ];
}

/** All pages of a list, and the replies below comments. */
async function whole(client, path, body) {
  if (!Array.isArray(body.items)) return body;
  // How well something fits may change with the age of things and with every version; what is found may not.
  if (path.startsWith('/api/search')) return { found: body.items.map(({ video }) => video.id).sort() };
  const items = [...body.items];
  let token = body.nextPageToken;
  while (token) {
    const page = await client.get(`${path}${path.includes('?') ? '&' : '?'}pageToken=${token}`);
    items.push(...page.items);
    token = page.nextPageToken;
  }
  if (!/\/comments\?/.test(path)) return { items };
  for (const comment of items) {
    if (comment.replies) comment.thread = (await client.get(`/api/comments/${comment.id}/replies`)).items;
  }
  return { items };
}

/** The files of the films that this person may see. */
async function media(client, videos) {
  const found = [];
  for (const id of videos) {
    const { status, body } = await client.call('GET', `/api/videos/${id}`);
    if (status !== 200 || !body.playback) continue;
    const { hls, files, original } = body.playback;
    found.push(hls, ...files.map(({ url }) => url), original, body.thumbnailUrl, ...body.captions.map(({ url }) => url));
  }
  return found.filter(Boolean);
}

async function bytes(client, path) {
  const headers = client.token ? { authorization: `Bearer ${client.token}` } : {};
  const answer = await fetch(client.url + path, { headers });
  return answer.status === 200 ? sha256(Buffer.from(await answer.arrayBuffer())) : answer.status;
}

/**
 * Where `now` says something else than `then`, as sentences. What is new in `now` is no difference:
 * later versions say more.
 */
export function differences(then, now, at = '') {
  if (then === null || typeof then !== 'object') {
    return Object.is(then, now) ? [] : [`${at}: ${JSON.stringify(then)} became ${JSON.stringify(now)}`];
  }
  if (now === null || typeof now !== 'object') return [`${at}: became ${JSON.stringify(now)}`];
  const longer = Array.isArray(then) && then.length !== now.length;
  const own = longer ? [`${at}: ${then.length} entries became ${now.length}`] : [];
  return [...own, ...Object.keys(then).flatMap((key) => differences(then[key], now[key], `${at} ${key}`))];
}
