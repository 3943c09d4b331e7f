// The main job as people do it: two of them, each at a browser, from the set-up link to a recommendation.

import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';

import { Client, PASSWORD } from '../lib/api.mjs';
import { OUTPUT, openBrowser, person, seriousFaults, shoot } from '../lib/browser.mjs';
import { bunny, pattern } from '../lib/films.mjs';
import { Server, eventually } from '../lib/server.mjs';

let server;
let browser;
let ada; // uploads
let ben; // watches
let film;
let video;

before(async () => {
  film = await bunny();
  server = await Server.start();
  browser = await openBrowser();
  ada = await person(browser, server.url);
  ben = await person(browser, server.url);
});
after(async () => {
  await browser?.close();
  await server?.end();
});

/** What axe found on the pages that were walked through. */
const faults = [];

/** Looks at the page as people with other eyes, screens and tastes do. */
async function inspect({ page }, name) {
  await shoot(page, name);
  faults.push(...(await seriousFaults(page)).map((fault) => `${name}: ${fault}`));
}

async function register(who, name, submit) {
  const { page } = who;
  await page.getByLabel('Username').fill(name);
  await page.getByLabel('E-mail address').fill(`${name}@example.org`);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: submit }).click();
}

test('the set-up link makes the first account', async () => {
  await ada.page.goto(`/setup?token=${await server.setupToken()}`);
  await ada.page.getByRole('heading', { name: 'Set up your site' }).waitFor();
  await inspect(ada, 'setup');
  await register(ada, 'ada', 'Create admin account');
  await ada.page.getByRole('heading', { name: 'Your site is ready' }).waitFor();
});

test('a channel is made', async () => {
  await ada.page.getByRole('link', { name: 'Create channel' }).click();
  await ada.page.getByLabel('Name', { exact: true }).fill('The Meadow');
  await ada.page.getByLabel('Handle').fill('meadow');
  await inspect(ada, 'channel-new');
  await ada.page.getByRole('button', { name: 'Create channel' }).click();
  await ada.page.getByRole('heading', { name: 'The Meadow' }).waitFor();
});

test('an upload through the page survives a reload in the middle', async () => {
  const { page } = ada;
  // Slow enough that the reload comes in the middle of it.
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  const speed = (bytesPerSecond) =>
    network.send('Network.emulateNetworkConditions', {
      offline: false, latency: 5, downloadThroughput: -1, uploadThroughput: bytesPerSecond,
    });
  await page.goto('/upload');
  await page.locator('input[type=file]').waitFor({ state: 'attached' });
  await speed(50_000);
  await page.locator('input[type=file]').setInputFiles(film.path);
  await page.getByLabel('Title').first().waitFor();
  await page.getByLabel('Title').first().fill('Rabbit in the meadow');
  await page.getByLabel('Description').first().fill('A rabbit wakes up. At 0:02 it yawns.');
  const bar = page.getByRole('progressbar').first();
  await eventually('the first bytes', async () => Number(await bar.getAttribute('value') ?? await bar.getAttribute('aria-valuenow')) > 0);
  await page.waitForTimeout(1_500);
  await inspect(ada, 'upload');
  const client = await asApi({ name: 'ada' });
  assert.equal((await client.get('/api/me/videos')).items[0].state, 'uploading', 'it was still under way');
  await page.reload();
  await speed(-1);
  const playable = page.getByText('Playable now', { exact: false }).first();
  await playable.waitFor({ timeout: 45_000 });
  const mine = await client.get('/api/me/videos');
  assert.equal(mine.items.length, 1, 'one upload, one video');
  video = mine.items[0];
  assert.equal(video.title, 'Rabbit in the meadow');
  await inspect(ada, 'upload-done');
});

/** The same person without the browser, to look behind the scenes. */
async function asApi({ name = 'ada' }) {
  return new Client(server.url).login(name);
}

test('the studio shows it', async () => {
  await ada.page.goto('/my/videos');
  await ada.page.getByRole('link', { name: 'Rabbit in the meadow' }).first().waitFor();
  await inspect(ada, 'studio');
});

test('somebody else registers and watches: frames are decoded, time goes forward', async () => {
  const { page } = ben;
  await page.goto('/register');
  await page.getByRole('heading', { name: /Join/ }).waitFor();
  await inspect(ben, 'register');
  await register(ben, 'ben', 'Create account');
  await page.waitForURL((url) => url.pathname === '/');
  await page.getByRole('link', { name: 'Rabbit in the meadow' }).first().waitFor();
  await inspect(ben, 'home');
  await page.getByRole('link', { name: 'Rabbit in the meadow' }).first().click();
  await page.waitForURL(`**/watch/${video.id}`);
  const state = () => page.evaluate(() => {
    const film = document.querySelector('video');
    const quality = film?.getVideoPlaybackQuality();
    return { time: film?.currentTime ?? 0, frames: quality?.totalVideoFrames ?? 0, width: film?.videoWidth, paused: film?.paused };
  });
  await page.locator('video').waitFor();
  // It begins by itself: this browser lets it.
  await eventually('half a second of film', async () => {
    const now = await state();
    return now.time > 0.5 && now.frames > 10 && now.width > 0;
  });
  const first = await state();
  await page.waitForTimeout(700);
  const second = await state();
  assert.ok(second.time > first.time, `${JSON.stringify(first)} ${JSON.stringify(second)}`);
  assert.ok(second.frames > first.frames);
  await inspect(ben, 'watch');
});

test('keys work in the player', async () => {
  const { page } = ben;
  const film = (read) => page.evaluate((name) => document.querySelector('video')[name], read);
  await page.locator('h1').first().click();
  await page.keyboard.press('m');
  const muted = await film('muted');
  await page.keyboard.press('m');
  assert.notEqual(await film('muted'), muted);
  if (!(await film('paused'))) await page.keyboard.press('k');
  assert.equal(await film('paused'), true);
  await page.keyboard.press('5');
  await eventually('the middle', async () => Math.abs((await film('currentTime')) / (await film('duration')) - 0.5) < 0.1);
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('t');
  await page.keyboard.press('t');
});

test('a like and a comment reach the uploader\'s bell without a reload', async () => {
  await ada.page.goto('/');
  await ada.page.getByRole('button', { name: /Notifications/ }).or(ada.page.getByRole('link', { name: /Notifications/ })).first().waitFor();
  const unread = async () => {
    const label = await ada.page.locator('header').getByRole('button', { name: /Notifications/ })
      .or(ada.page.locator('header').getByRole('link', { name: /Notifications/ })).first().getAttribute('aria-label');
    return Number(label?.match(/(\d+)/)?.[1] ?? 0);
  };
  const beforehand = await unread();
  await ada.page.evaluate(() => { globalThis.neverReloaded = true; });
  await ben.page.getByRole('button', { name: 'Like', exact: true }).click();
  await ben.page.getByRole('textbox', { name: 'Add a comment' }).fill('What a rabbit at 0:02!');
  await ben.page.getByRole('button', { name: 'Comment', exact: true }).click();
  await ben.page.getByText('What a rabbit at').first().waitFor();
  await eventually('two more at the bell', async () => (await unread()) >= beforehand + 2);
  assert.equal(await ada.page.evaluate(() => globalThis.neverReloaded), true);
  await ada.page.goto('/notifications');
  await ada.page.getByText(/commented on/).first().waitFor();
  await ada.page.getByText(/likes “Rabbit/).first().waitFor();
  await inspect(ada, 'notifications');
});

test('the film is found with typing errors', async () => {
  const { page } = ben;
  await page.goto('/');
  await page.keyboard.press('/');
  await page.keyboard.type('rabit medow');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/search\?/);
  await page.getByRole('link', { name: /Rabbit in the meadow/ }).first().waitFor();
  await inspect(ben, 'search');
});

test('subscribing, the feed, a playlist, history and a recommendation with its reason', async () => {
  const { page } = ben;
  await page.goto('/@meadow');
  await page.getByRole('button', { name: /^Subscribe/ }).first().click();
  await page.getByRole('button', { name: /Subscribed|Subscription to/ }).first().waitFor();
  await inspect(ben, 'channel');

  const client = await asApi({ name: 'ada' });
  const clip = await pattern('tone.mp4', { args: ['-c:v', 'libx264', '-g', '50', '-c:a', 'aac', '-pix_fmt', 'yuv420p'] });
  const tone = await client.upload(clip.bytes, { filename: 'tone.mp4', title: 'A test tone', channel: 'meadow', privacy: 'public' });
  await client.video(tone);
  await page.goto('/feed');
  await page.getByRole('link', { name: 'A test tone' }).first().waitFor();
  await inspect(ben, 'feed');

  await page.goto(`/watch/${video.id}`);
  await page.getByRole('button', { name: 'Save' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  await dialog.getByText('Watch later').first().click();
  await page.keyboard.press('Escape');
  await page.goto('/playlists');
  await page.getByRole('link', { name: /Watch later/ }).first().waitFor();
  await inspect(ben, 'playlists');
  await page.getByRole('main').getByRole('link', { name: /Watch later/ }).first().click();
  await page.getByRole('link', { name: /Rabbit in the meadow/ }).first().waitFor();
  await inspect(ben, 'playlist');

  await page.goto('/history');
  await page.getByRole('link', { name: /Rabbit in the meadow/ }).first().waitFor();
  await inspect(ben, 'history');

  await eventually('a recommendation that says why', async () => {
    await page.goto('/');
    await page.getByRole('link', { name: 'A test tone' }).first().waitFor();
    return page.getByText(/You subscribe to The Meadow|Because you (watched|liked)|Similar to|same channel/).first().isVisible();
  });
  await inspect(ben, 'home-for-ben');
  for (const path of ['/settings', '/about', '/nothing/here']) {
    await page.goto(path);
    await page.locator('h1').first().waitFor();
    await inspect(ben, `page${path.replaceAll('/', '-')}`);
  }
});

test('signing out and in again', async () => {
  const { page } = ben;
  await page.goto('/');
  await page.getByRole('button', { name: /Account/ }).first().click();
  await page.getByRole('menuitem', { name: 'Log out' }).or(page.getByRole('button', { name: 'Log out' })).first().click();
  await page.getByRole('link', { name: 'Log in' }).first().click();
  await page.getByLabel('Username or e-mail address').fill('ben');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await inspect(ben, 'login');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: /Account/ }).first().waitFor();
});

test('axe finds no serious fault on any page', () => {
  assert.deepEqual(faults, []);
});

test('the page lived through all of it without an error', () => {
  const expected = /status of 40[14]|net::ERR_/;
  for (const who of [ada, ben]) assert.deepEqual(who.complaints.filter((text) => !expected.test(text)), []);
});

test('the screenshot for the README is kept', async () => {
  const { page } = ben;
  await page.goto(`/watch/${video.id}`);
  await page.locator('video').waitFor();
  await page.waitForTimeout(1_500);
  await mkdir(OUTPUT, { recursive: true });
  await page.screenshot({ path: resolve(OUTPUT, 'readme.png') });
  if (process.env.UPDATE_SCREENSHOT) {
    await mkdir(resolve(OUTPUT, '../../docs'), { recursive: true });
    await copyFile(resolve(OUTPUT, 'readme.png'), resolve(OUTPUT, '../../docs/watch.png'));
  }
});
