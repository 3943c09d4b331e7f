// Everything is killed at once, again and again, while many people rate, comment and watch, while somebody uploads,
// and while films are processed: what was answered is there, nothing counts twice, and all work comes to an end.
//
// DJSTREAM_KILL_ROUNDS sets how often (3; 50 and more on demand); DJSTREAM_TEST_SEED repeats who did what.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { Client, sha256 } from '../lib/api.mjs';
import { tinyFilm } from '../lib/community.mjs';
import { pattern } from '../lib/films.mjs';
import { Server, eventually } from '../lib/server.mjs';
import { Upload } from '../lib/tus.mjs';

const ROUNDS = Number(process.env.DJSTREAM_KILL_ROUNDS ?? 3);
const SEED = Number(process.env.DJSTREAM_TEST_SEED ?? process.pid);
const PEOPLE = 16;
const VIDEOS = 3;
const PADDING_BYTES = 24 << 20;

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

let server;
let ada;
let people;
let videos;
let film;

before(async () => {
  console.log(`DJSTREAM_TEST_SEED=${SEED} DJSTREAM_KILL_ROUNDS=${ROUNDS}`);
  server = await Server.start({
    env: {
      DJSTREAM_LIMITS_COMMENTS_PER_MINUTE: '10000',
      DJSTREAM_LIMITS_INTERACTIONS_PER_MINUTE: '1000000',
      DJSTREAM_NOTIFICATION_INBOX_ENTRIES: '100000',
      DJSTREAM_LOG_LEVEL: 'warn',
    },
  });
  film = await tinyFilm();
  ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
  await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow' });
  people = await Promise.all(
    Array.from({ length: PEOPLE }, async (_, n) => new Person(n, await new Client(server.url).register(`person${n}`))),
  );
  videos = [];
  for (let n = 0; n < VIDEOS; n += 1) videos.push(await ada.upload(film, { filename: 'f.mp4', title: `Film ${n}`, channel: 'meadow' }));
  for (const id of videos) await ada.video(id);
});
after(() => server?.end());

/** Somebody who does one thing after the other, each as often as it takes to be answered, and remembers the answers. */
class Person {
  constructor(number, client) {
    Object.assign(this, { number, client, state: SEED * 7919 + number + 1, unanswered: 0 });
    this.ratings = new Map(); // video → the last answered rating
    this.liked = new Set(); // videos that were ever liked
    this.watched = new Set();
    this.comments = new Map(); // id → { video, parent, text, deleted }
    this.opinions = new Map(); // comment → the last answered rating
  }

  below(end) {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * end);
  }

  pick = (list) => list[this.below(list.length)];

  /** Repeats a call until somebody answers it. */
  async insist(method, path, body, headers) {
    for (;;) {
      const answer = await this.client.call(method, path, body, headers).catch(() => undefined);
      if (answer && answer.status < 500) return { ...answer, tries: this.unanswered };
      if (answer && ![502, 503].includes(answer.status)) assert.fail(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      this.unanswered += 1;
      await sleep(20 + this.below(60));
    }
  }

  async live(until) {
    while (!until()) {
      const what = this.below(10);
      if (what < 4) await this.rate();
      else if (what < 7) await this.comment();
      else if (what < 8) await this.rateComment();
      else if (what < 9) await this.watch();
      else await this.takeBack();
      await sleep(this.below(20));
    }
  }

  async rate() {
    const video = this.pick(videos);
    const rating = this.pick(['like', 'dislike', 'none']);
    if (rating === 'like') this.liked.add(video);
    const answer = await this.insist('PUT', `/api/videos/${video}/rating`, { rating });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    this.ratings.set(video, rating);
  }

  async comment() {
    const own = [...this.comments].filter(([, { deleted, parent }]) => !deleted && !parent);
    const [parent, { video } = {}] = this.below(3) === 0 && own.length > 0 ? this.pick(own) : [undefined, { video: this.pick(videos) }];
    const text = `${this.number} says ${this.comments.size}`;
    const key = { 'idempotency-key': randomUUID() };
    const answer = await this.insist('POST', `/api/videos/${video}/comments`, { text, ...(parent ? { parentId: parent } : {}) }, key);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    this.comments.set(answer.body.id, { video, parent, text, deleted: false });
  }

  async rateComment() {
    const comment = this.pick([...this.comments].filter(([, { deleted }]) => !deleted).map(([id]) => id));
    if (!comment) return;
    const rating = this.pick(['like', 'none']);
    const answer = await this.insist('PUT', `/api/comments/${comment}/rating`, { rating });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    this.opinions.set(comment, rating);
  }

  async watch() {
    const video = this.pick(videos);
    const beat = { sessionId: `page-${this.number}-0001`, positionSeconds: 1.5, watchedSeconds: 1.5 };
    const answer = await this.insist('POST', `/api/videos/${video}/views`, beat);
    assert.equal(answer.body.counted, true, JSON.stringify(answer.body));
    this.watched.add(video);
  }

  /** Deletes a reply: of a first comment something would be left. */
  async takeBack() {
    const [id, comment] = this.pick([...this.comments].filter(([, { deleted, parent }]) => parent && !deleted)) ?? [];
    if (!id) return;
    const before = this.unanswered;
    const { status } = await this.insist('DELETE', `/api/comments/${id}`);
    // The first request may have been carried out without being answered.
    assert.ok(status === 204 || (status === 404 && this.unanswered > before), `deleting: ${status}`);
    comment.deleted = true;
  }
}

/** Kills everything, `rounds` times, each time in the middle of what goes on. */
async function kills(rounds) {
  for (let round = 0; round < rounds; round += 1) {
    await sleep(300 + people[0].below(1_200));
    await server.killAll();
    await server.up();
  }
  await sleep(500);
}

/** Sends the whole film through all of it, piece by piece; answers the upload. */
async function uploadThrough(bytes, until) {
  const upload = await Upload.create(ada, bytes.length, {
    filename: 'large.mp4', title: 'Large', channel: 'meadow', privacy: 'unlisted', sha256: sha256(bytes),
  });
  let offset = 0;
  let restarts = 0;
  while (offset < bytes.length) {
    // So much a piece that it lasts until the kills are over.
    const end = Math.min(bytes.length, offset + (until() ? 4 << 20 : 96 << 10));
    const status = await upload.send(bytes.subarray(offset, end), offset).catch(() => 0);
    if (status === 204) {
      offset = end;
    } else {
      assert.ok([0, 502, 503, 409].includes(status), `a piece: ${status}`);
      restarts += 1;
      const kept = await upload.offset();
      assert.ok(kept >= offset && kept <= end, `${offset} was answered, ${kept} is there, ${end} was sent`);
      offset = kept;
    }
    if (!until()) await sleep(25);
  }
  return { upload, restarts };
}

test(`16 people and an upload go through ${ROUNDS} kills of everything`, { timeout: 60_000 + ROUNDS * 10_000 }, async () => {
  let over = false;
  const until = () => over;
  // An MP4 with a box that players skip.
  const box = Buffer.alloc(8);
  box.writeUInt32BE(PADDING_BYTES + 8);
  box.write('free', 4);
  const large = Buffer.concat([film, box, randomBytes(PADDING_BYTES)]);
  const [, { upload, restarts }] = await Promise.all([
    kills(ROUNDS).finally(() => { over = true; }),
    uploadThrough(large, until),
    ...people.map((person) => person.live(until)),
  ]);
  const unanswered = people.reduce((sum, person) => sum + person.unanswered, 0);
  const said = people.reduce((sum, person) => sum + person.comments.size, 0);
  console.log(`${said} comments, ${unanswered} requests repeated, the upload interrupted ${restarts} times`);
  assert.ok(unanswered >= ROUNDS && said > 16, 'the kills hit somebody');

  await ada.video(upload.video);
  const original = await fetch(`${server.url}/media/${upload.video}/original`, { headers: { authorization: `Bearer ${ada.token}` } });
  assert.equal(sha256(Buffer.from(await original.arrayBuffer())), sha256(large));
  assert.equal((await ada.get('/api/me/videos?limit=100')).items.filter(({ title }) => title === 'Large').length, 1);
});

for (let number = 0; number < VIDEOS; number += 1) {
  test(`film ${number}: each answered write is there, and each count is that of the rows`, async () => {
    const video = videos[number];
    const sum = (count) => people.reduce((all, person) => all + count(person), 0);
    const alive = (person) => [...person.comments].filter(([, comment]) => comment.video === video && !comment.deleted);
    const expected = {
      likes: sum(({ ratings }) => Number(ratings.get(video) === 'like')),
      dislikes: sum(({ ratings }) => Number(ratings.get(video) === 'dislike')),
      views: sum(({ watched }) => Number(watched.has(video))),
      comments: sum((person) => alive(person).length),
    };
    await settled(async () => {
      const { likes, dislikes, views, comments } = await ada.get(`/api/videos/${video}`);
      return { likes, dislikes, views, comments };
    }, expected);

    for (const person of people) {
      const { rating } = await person.client.get(`/api/videos/${video}/rating`);
      assert.equal(rating, person.ratings.get(video) ?? 'none', `rating of person${person.number}`);
    }
    const wanted = new Map(people.flatMap((person) => alive(person)));
    const opinions = new Map(people.flatMap((person) => [...person.opinions]));
    const found = await thread(video);
    assert.equal(found.length, new Set(found.map(({ id }) => id)).size, 'nothing is listed twice');
    assert.deepEqual(found.map(({ id }) => id).toSorted(), [...wanted.keys()].toSorted());
    for (const comment of found) {
      assert.equal(comment.text, wanted.get(comment.id).text);
      assert.equal(comment.likes, Number(opinions.get(comment.id) === 'like'), `likes of ${comment.text}`);
    }
  });
}

/** Waits until these counts are right, and a moment longer: one that counts twice would go on. */
async function settled(read, expected) {
  await eventually(JSON.stringify(expected), async () => {
    const now = await read();
    if (Object.keys(expected).every((key) => now[key] === expected[key])) return true;
    throw new Error(`now ${JSON.stringify(now)}`);
  }, { timeoutMs: 10_000 });
  await sleep(300);
  assert.deepEqual(await read(), expected);
}

/** All comments of a video with all replies. */
async function thread(video) {
  const first = await pages(ada, `/api/videos/${video}/comments?sort=old&limit=100`);
  const replies = [];
  for (const { id, replies: count } of first) {
    const below = count > 0 ? await pages(ada, `/api/comments/${id}/replies?limit=100`) : [];
    assert.equal(below.length, count, 'replies are counted');
    replies.push(...below);
  }
  return [...first, ...replies];
}

async function pages(client, path) {
  const items = [];
  let token;
  do {
    const page = await client.get(`${path}${token ? `&pageToken=${token}` : ''}`);
    items.push(...page.items);
    token = page.nextPageToken;
  } while (token);
  return items;
}

test('the owner was told of everything, and of nothing twice', async () => {
  const ours = new Map(people.flatMap(({ comments }) => [...comments]));
  const must = [...ours].filter(([, { deleted, parent }]) => !deleted && !parent).map(([id]) => id);
  let inbox;
  await eventually('all notifications', async () => {
    inbox = await pages(ada, '/api/notifications?limit=100');
    const told = new Set(inbox.map(({ commentId }) => commentId));
    return must.every((id) => told.has(id));
  });
  await sleep(300);
  inbox = await pages(ada, '/api/notifications?limit=100');
  assert.equal(new Set(inbox.map(({ id }) => id)).size, inbox.length);
  const about = inbox.filter(({ kind }) => kind !== 'like').map(({ kind, videoId, commentId }) => `${kind} ${videoId} ${commentId}`);
  assert.equal(new Set(about).size, about.length, 'of each thing once');
  for (const video of videos) {
    const likes = inbox.filter((item) => item.kind === 'like' && item.videoId === video).reduce((sum, { count }) => sum + count, 0);
    const ever = people.filter(({ liked }) => liked.has(video)).length;
    const now = people.filter(({ ratings }) => ratings.get(video) === 'like').length;
    assert.ok(likes >= now && likes <= ever, `${likes} likes were told, ${now} like it, ${ever} ever did`);
  }
  const { unread } = await ada.get('/api/notifications/unread-count');
  assert.equal(unread, inbox.filter(({ read }) => !read).length);
});

test('every film is published or says why not, whatever is killed meanwhile', { timeout: 120_000 + ROUNDS * 20_000 }, async () => {
  const old = await pattern('needs-encoding.mkv', { args: ['-c:v', 'mpeg4', '-q:v', '5', '-c:a', 'libmp3lame'] });
  const ids = [];
  for (let n = 0; n < 3; n += 1) {
    ids.push(await ada.upload(old.bytes, { filename: 'old.mkv', title: `Old ${n}`, channel: 'meadow', privacy: 'unlisted' }));
  }
  let tools = 0;
  for (let round = 0; round < ROUNDS * 2; round += 1) {
    await sleep(100 + people[0].below(500));
    tools += await server.killTools();
    await sleep(people[0].below(300));
    await eventually('video is there to be killed', () => server.kill('video').catch(() => false), { timeoutMs: 20_000 });
  }
  console.log(`${tools} tools were killed`);
  for (const id of ids) {
    const video = await ada.video(id, ['published', 'failed'], { timeoutMs: 60_000 });
    if (video.state === 'failed') assert.ok(video.failure.length > 20, `why: ${video.failure}`);
    else await playable(video);
  }
  await eventually('no step is under way', async () => {
    const states = await Promise.all(ids.map((id) => ada.get(`/api/videos/${id}/processing`)));
    return states.flatMap(({ jobs }) => jobs).every(({ state }) => ['done', 'failed'].includes(state));
  }, { timeoutMs: 60_000 });
  for (const id of ids) {
    const about = await eventually('its owner is told', async () => {
      const inbox = await pages(ada, '/api/notifications?limit=100');
      const ends = inbox.filter(({ kind, videoId }) => videoId === id && kind.startsWith('processing-'));
      return ends.length > 0 && ends;
    });
    assert.equal(about.length, 1);
  }
});

/** Reads every byte that a player would. */
async function playable({ playback }) {
  const headers = { authorization: `Bearer ${ada.token}` };
  for (const url of [playback.hls, ...playback.files.map((file) => file.url)]) {
    const answer = await fetch(server.url + url, { headers });
    assert.equal(answer.status, 200, url);
    await answer.arrayBuffer();
  }
  for (const { url, bytes } of playback.files) {
    const whole = await fetch(server.url + url, { headers });
    assert.equal((await whole.arrayBuffer()).byteLength, bytes, url);
  }
}
