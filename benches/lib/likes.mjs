// Durable likes through the HTTP API: 32 people, each with an account, a token and a kept connection.

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Client } from '../../tests/lib/api.mjs';
import { pattern } from '../../tests/lib/films.mjs';
import { Server, eventually } from '../../tests/lib/server.mjs';

const run = promisify(execFile);
export const PEOPLE = 32;

/** A server with 32 accounts and as many published videos. */
export class Likes {
  static async start() {
    const env = { DJSTREAM_LIMITS_INTERACTIONS_PER_MINUTE: '1000000', DJSTREAM_LIMITS_UPLOADS_OPEN: '100' };
    const server = await Server.start({ env });
    try {
      const ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
      await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow' });
      const videos = await publish(ada);
      const people = [];
      for (let n = 0; n < PEOPLE; n += 1) people.push(await new Client(server.url).register(`person-${n}`));
      return new Likes(server, ada, videos, people);
    } catch (error) {
      await server.end();
      throw error;
    }
  }

  constructor(server, ada, videos, people) {
    Object.assign(this, { server, ada, videos, people });
  }

  /** Likes a second that were answered: all of one video, or each person of another one. */
  async perSecond(seconds, { oneVideo }) {
    const file = join(this.server.data, 'likes.txt');
    const lines = this.people.map(({ token }, n) => `${token} /api/videos/${this.videos[oneVideo ? 0 : n]}/rating`);
    await writeFile(file, `${lines.join('\n')}\n`);
    const script = join(import.meta.dirname, 'likes.lua');
    const args = ['-t', String(PEOPLE), '-c', String(PEOPLE), '-d', `${seconds}s`, '-s', script, this.server.url, file];
    const { stdout } = await run('wrk', args);
    const wrong = stdout.match(/(Non-2xx.*|Socket errors.*)/);
    if (wrong) throw new Error(`not every like was taken: ${wrong[1]}`);
    return Number(stdout.match(/Requests\/sec: +([\d.]+)/)[1]);
  }

  /** Waits until all is counted, and fails if the counts are not those of the people's last ratings. */
  async check() {
    await eventually('an empty queue', async () => {
      const { items: queues } = await this.ada.get("/api/admin/queues");
      return queues.every(({ ready, leased }) => ready + leased === 0);
    }, { timeoutMs: 120_000 });
    for (const id of this.videos) {
      let likes = 0;
      for (const person of this.people) likes += (await person.get(`/api/videos/${id}/rating`)).rating === 'like' ? 1 : 0;
      await eventually(`${likes} likes`, async () => (await this.ada.get(`/api/videos/${id}`)).likes === likes);
    }
  }

  end() {
    return this.server.end();
  }
}

async function publish(ada) {
  const clip = await pattern('bench.mp4', {
    seconds: 1,
    size: '320x240',
    args: ['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac', '-pix_fmt', 'yuv420p'],
  });
  const ids = [];
  for (let n = 0; n < PEOPLE; n += 1) {
    const of = { filename: 'c.mp4', title: `Clip ${n}`, channel: 'meadow', privacy: 'public' };
    ids.push(await ada.upload(clip.bytes, of));
  }
  for (const id of ids) await ada.video(id, ['published'], { timeoutMs: 600_000 });
  return ids;
}
