// The figures that DjStream is held to, measured on real processes. nginx serves the same bytes beside us.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Client } from '../tests/lib/api.mjs';
import { openBrowser } from '../tests/lib/browser.mjs';
import { bunny, pattern } from '../tests/lib/films.mjs';
import { Server, eventually, freePort } from '../tests/lib/server.mjs';

const run = promisify(execFile);
const CONNECTIONS = 32;
const SECONDS = Number(process.env.BENCH_SECONDS ?? 8);
const VIDEOS = Number(process.env.BENCH_VIDEOS ?? 200);

function print(name, value, unit, wanted) {
  const shown = value >= 100 ? value.toFixed(0) : value.toFixed(2);
  console.log(`${name.padEnd(44)} ${shown.padStart(8)} ${unit.padEnd(4)} ${wanted ? `(to reach: ${wanted})` : ''}`);
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Requests a second that wrk gets, without errors. */
async function requestsPerSecond(url, headers = []) {
  const words = headers.flatMap((header) => ['-H', header]);
  const { stdout } = await run('wrk', ['-t', '2', '-c', String(CONNECTIONS), '-d', `${SECONDS}s`, ...words, url]);
  if (/Non-2xx|Socket errors/.test(stdout)) console.log(`  ! ${stdout.match(/(Non-2xx.*|Socket errors.*)/)[1]}`);
  return Number(stdout.match(/Requests\/sec: +([\d.]+)/)[1]);
}

/** Sum of the proportional memory of these processes, in MB. */
async function proportionalMemory(pids) {
  let kib = 0;
  for (const pid of pids) kib += Number((await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')).match(/^Pss: +(\d+)/m)[1]);
  return (kib * 1024) / 1e6;
}

async function startAndRest() {
  const starts = [];
  const server = await Server.start();
  for (let round = 0; round < 5; round += 1) {
    await server.down();
    starts.push(await server.up());
  }
  print('start to ready', median(starts) / 1000, 's', 'at most 1.5');
  await new Promise((wake) => setTimeout(wake, 3_000));
  const children = await server.children();
  const pids = [server.process.pid, ...children.map(({ pid }) => pid)];
  print(`memory at rest, ${pids.length} processes`, await proportionalMemory(pids), 'MB', 'at most 100');
  return server;
}

async function lastByteToPlayable(ada) {
  const { bytes } = await bunny();
  const times = [];
  for (let round = 0; round < 3; round += 1) {
    const id = await ada.upload(bytes, { filename: 'b.mp4', title: `Rabbit in the meadow ${round}`, channel: 'meadow', privacy: 'public' });
    const sent = performance.now();
    await ada.video(id, ['published'], { everyMs: 20, timeoutMs: 60_000 });
    times.push(performance.now() - sent);
  }
  print('last byte to playable, 5 s of 720p', median(times) / 1000, 's', 'at most 2');
}

async function fill(ada) {
  const clip = await pattern('bench.mp4', {
    seconds: 1,
    size: '320x240',
    args: ['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac', '-pix_fmt', 'yuv420p'],
  });
  const words = ['garden', 'river', 'mountain', 'cooking', 'bicycle', 'piano', 'history', 'winter', 'robot', 'ocean'];
  const ids = [];
  for (let n = 0; n < VIDEOS; n += 1) {
    const title = `${words[n % 10]} ${words[Math.floor(n / 10) % 10]} ${n}`;
    ids.push(await ada.upload(clip.bytes, { filename: 'c.mp4', title, channel: 'meadow', privacy: 'public', tags: words[n % 10] }));
  }
  for (const id of ids) await ada.video(id, ['published'], { timeoutMs: 600_000 });
  await eventually('quiet', async () => {
    const { items } = await ada.get('/api/admin/jobs?limit=1');
    return items.length === 0;
  }, { timeoutMs: 600_000, everyMs: 500 });
}

async function throughput(server, id) {
  const at = (path) => requestsPerSecond(server.url + path);
  print('list of videos', await at('/api/videos?sort=new'), '/s', 'at least 5,000');
  print('one video', await at(`/api/videos/${id}`), '/s', 'at least 5,000');
  print('watch page', await at(`/watch/${id}`), '/s', 'at least 5,000');
  print('search with typing errors', await at('/api/search?q=rabit%20medow'), '/s', 'at least 1,000');
  print('search, many hits', await at('/api/search?q=montain%20gardn'), '/s', 'at least 1,000');
}

/** The same bytes from nginx and from us, alternately. */
async function bytesBesideNginx(server, video) {
  const folder = await mkdtemp(join(tmpdir(), 'djstream-bench-'));
  const port = await freePort();
  const largest = video.playback.files.at(-1);
  const body = Buffer.from(await (await fetch(server.url + largest.url)).arrayBuffer());
  await writeFile(join(folder, 'film.mp4'), body);
  await writeFile(join(folder, 'nginx.conf'), `
    ${process.getuid() === 0 ? 'user root;' : ''} worker_processes 2; daemon off; pid ${folder}/pid; error_log ${folder}/error;
    events { worker_connections 256; }
    http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b;
      fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e; types { video/mp4 mp4; }
      server { listen 127.0.0.1:${port}; root ${folder}; } }`);
  const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf')], { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
  await eventually('nginx', async () => (await fetch(`http://127.0.0.1:${port}/film.mp4`, { method: 'HEAD' })).ok);
  const ours = [];
  const theirs = [];
  for (let round = 0; round < 3; round += 1) {
    ours.push(await requestsPerSecond(server.url + largest.url));
    theirs.push(await requestsPerSecond(`http://127.0.0.1:${port}/film.mp4`));
  }
  const megabytes = body.length / 1e6;
  print('film bytes', median(ours) * megabytes, 'MB/s');
  print('film bytes, nginx with sendfile beside us', median(theirs) * megabytes, 'MB/s');
  print('ratio to nginx', median(ours) / median(theirs), '');
  nginx.kill();
  await rm(folder, { recursive: true, force: true });
}

/** From opening the watch page in a new profile to the first frame shown. */
async function firstFrame(server, id) {
  const times = [];
  let script = 0;
  for (let round = 0; round < 5; round += 1) {
    const browser = await openBrowser();
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
    script = 0;
    page.on('response', async (response) => {
      if (!/javascript/.test(response.headers()['content-type'] ?? '')) return;
      script += Number(response.headers()['content-length'] ?? 0);
    });
    await page.addInitScript(() => {
      const watch = () => {
        const film = document.querySelector('video');
        if (film?.requestVideoFrameCallback && !film.dataset.watched) {
          film.dataset.watched = '1';
          film.requestVideoFrameCallback((now) => { globalThis.firstFrameMs = now; });
          film.muted = true;
          film.play().catch(() => {});
        }
        if (!globalThis.firstFrameMs) setTimeout(watch, 5);
      };
      watch();
    });
    await page.goto(`${server.url}/watch/${id}`);
    await page.waitForFunction(() => globalThis.firstFrameMs > 0, undefined, { polling: 20, timeout: 20_000 });
    times.push(await page.evaluate(() => globalThis.firstFrameMs));
    await browser.close();
  }
  print('first frame in Chromium, cold profile', median(times) / 1000, 's', 'at most 0.8');
  print('script until then', script / 1000, 'kB');
}

const server = await startAndRest();
try {
  const ada = await new Client(server.url).register('ada', { setupToken: await server.setupToken() });
  await ada.post('/api/channels', { handle: 'meadow', name: 'The Meadow' });
  await lastByteToPlayable(ada);
  const { bytes } = await bunny();
  const id = await ada.upload(bytes, { filename: 'b.mp4', title: 'Rabbit in the meadow', channel: 'meadow', privacy: 'public' });
  await ada.video(id);
  await fill(ada);
  const video = await ada.get(`/api/videos/${id}`);
  await throughput(server, id);
  await bytesBesideNginx(server, video);
  await firstFrame(server, id);
  const children = await server.children();
  print('memory afterwards', await proportionalMemory([server.process.pid, ...children.map(({ pid }) => pid)]), 'MB');
} finally {
  await server.end();
}
