// Other people's clients, unchanged: tus-js-client uploads, ioredis and redis-cli listen to the fan-out.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import Redis from 'ioredis';
import * as tus from 'tus-js-client';

import { Client } from '../lib/api.mjs';
import { bunny } from '../lib/films.mjs';
import { CONTROL_PROGRAM, Server, eventually } from '../lib/server.mjs';

const run = promisify(execFile);
let server;
let ada;

before(async () => {
  server = await Server.start();
  ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
  await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow' });
});
after(() => server?.end());

test('tus-js-client pauses, survives a restart of the server, and goes on', async () => {
  const film = await bunny();
  let restarted = false;
  const progress = [];
  const id = await new Promise((done, failed) => {
    let videoId;
    const upload = new tus.Upload(createReadStream(film.path), {
      endpoint: `${server.url}/api/uploads`,
      chunkSize: 128 * 1024,
      uploadSize: film.bytes.length,
      retryDelays: [100, 200, 400, 800, 1600, 3200],
      headers: { authorization: `Bearer ${ada.token}` },
      metadata: { filename: 'bunny.mp4', title: 'By tus-js-client', channel: 'meadow', privacy: 'public' },
      onAfterResponse: (_, response) => { videoId = response.getHeader('DjStream-Video') ?? videoId; },
      onProgress: (sent) => progress.push(sent),
      onChunkComplete: (_, accepted) => {
        if (restarted || accepted < film.bytes.length / 2) return;
        restarted = true;
        // The stream source cannot seek back, so the restart waits for the end of this chunk.
        upload.abort().then(() => server.down()).then(() => server.up()).then(() => upload.start(), failed);
      },
      onError: failed,
      onSuccess: () => done(videoId),
    });
    upload.start();
  });
  assert.ok(restarted);
  await ada.video(id);
  const answer = await fetch(`${server.url}/media/${id}/original`, { headers: { authorization: `Bearer ${ada.token}` } });
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(film.bytes));
  assert.equal((await ada.get('/api/me/videos')).items.length, 1);
});

test('ioredis and redis-cli hear what the fan-out says', async () => {
  const path = join(server.data, 'run/fanout.sock');
  const listener = new Redis({ path, lazyConnect: true });
  const speaker = new Redis({ path, lazyConnect: true });
  await Promise.all([listener.connect(), speaker.connect()]);
  const heard = [];
  listener.on('messageBuffer', (channel, message) => heard.push([String(channel), message]));
  listener.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
  await listener.subscribe('news');
  await listener.psubscribe('user:*');
  const bytes = Buffer.from([0, 13, 10, 255]);
  assert.equal(await speaker.publish('news', bytes), 1);
  const { stdout } = await run('redis-cli', ['-s', path, 'publish', 'user:7', 'hello']);
  assert.match(stdout, /1/);
  await eventually('both messages', () => heard.length === 2);
  assert.deepEqual(heard[0], ['news', bytes]);
  assert.deepEqual(heard[1], ['user:*', 'user:7', 'hello']);
  listener.disconnect();
  speaker.disconnect();
});

test('djstreamctl shows and makes', async () => {
  const ctl = (...words) => run(CONTROL_PROGRAM, ['--data', server.data, ...words]);
  const health = JSON.parse((await ctl('status', '-o', 'json')).stdout);
  assert.equal(health.status, 'ok');
  assert.match((await ctl('status')).stdout, /video +ok/);
  const create = promisify(execFile)(CONTROL_PROGRAM, ['--data', server.data, 'user', 'create', 'cleo', '--email', 'cleo@example.org', '-o', 'json']);
  create.child.stdin.end('a password of some length\n');
  assert.equal(JSON.parse((await create).stdout).username, 'cleo');
  await new Client(server.url).login('cleo', 'a password of some length');
  const users = JSON.parse((await ctl('user', 'list', '-o', 'json')).stdout);
  assert.deepEqual(users.map(({ username }) => username).sort(), ['ada', 'cleo']);
  const queues = JSON.parse((await ctl('queue', 'list', '-o', 'json')).stdout);
  assert.ok(queues.some(({ name }) => name === 'interaction/interactions'), JSON.stringify(queues));
  assert.ok(Array.isArray(JSON.parse((await ctl('jobs', 'list', '-o', 'json')).stdout)));
  assert.equal(JSON.parse((await ctl('version', '-o', 'json')).stdout).server, '0.1.0');
  await assert.rejects(ctl('jobs', 'retry', 'nosuchjob'), { code: 3 });
  await assert.rejects(run(CONTROL_PROGRAM, ['--data', '/nonexistent', 'status']), { code: 5 });
  await assert.rejects(ctl('dance'), { code: 2 });
});
