import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '$/api/client';
import type { FileStore } from './files';
import { isTransient, retryMs, UploadQueue } from './queue.svelte';
import { loadRecords } from './record';
import type { StartTransfer, TransferEvents } from './transfer';

interface Sent {
  file: File;
  from: { url?: string; metadata: Record<string, string> };
  events: TransferEvents;
  stopped: boolean;
}

const requests: { method: string; path: string; body?: unknown }[] = [];

/** A tab: its queue, what it sent, and the files that the browser keeps. */
function tab(kept = new Map<string, File>(), free = true) {
  const sent: Sent[] = [];
  const transfer: StartTransfer = (file, from, events) => {
    const one: Sent = { file, from, events, stopped: false };
    sent.push(one);
    return { stop: () => void (one.stopped = true) };
  };
  const files: FileStore = {
    put: async (id, file) => Boolean(kept.set(id, file)),
    get: async (id) => kept.get(id),
    remove: async (id) => void kept.delete(id),
  };
  let clock = 0;
  const queue = new UploadQueue({
    transfer: async () => transfer,
    files,
    hold: async () => free,
    now: () => (clock += 1000),
    untitled: () => 'Untitled',
  });
  return { queue, sent, kept };
}

function film(name: string, size = 1000): File {
  return new File([new Uint8Array(size)], name, { type: 'video/mp4' });
}

const settle = () => vi.advanceTimersByTimeAsync(0);
const broken = new ApiError(0, 'network', 'gone');

beforeEach(() => {
  vi.useFakeTimers();
  requests.length = 0;
  const storage = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => storage.get(key) ?? null,
    setItem: (key: string, value: string) => storage.set(key, value),
    removeItem: (key: string) => storage.delete(key),
  });
  vi.stubGlobal('document', { hidden: false, addEventListener: () => undefined, removeEventListener: () => undefined });
  vi.stubGlobal('fetch', async (path: string, init: RequestInit) => {
    requests.push({ method: init.method ?? '', path, body: init.body && JSON.parse(String(init.body)) });
    const processing = { state: 'published', jobs: [] };
    return new Response(JSON.stringify(path.endsWith('/processing') ? processing : {}), { status: 200 });
  });
});

async function opened(kept?: Map<string, File>) {
  const one = tab(kept);
  await one.queue.open('anna');
  return one;
}

describe('UploadQueue', () => {
  it('sends two at once and the third when one is done', async () => {
    const { queue, sent } = await opened();
    queue.add([film('a.mp4'), film('b.mp4'), film('c.mp4')], 'meadow');
    await settle();
    expect(queue.items.map((item) => item.status)).toEqual(['uploading', 'uploading', 'waiting']);
    sent[0]?.events.created('/api/uploads/1', 'v1');
    sent[0]?.events.done();
    await settle();
    expect(sent.map((one) => one.file.name)).toEqual(['a.mp4', 'b.mp4', 'c.mp4']);
    expect(queue.items[0]?.status).toBe('done');
  });

  it('goes on where the server is after a break, and waits longer each time', async () => {
    const { queue, sent } = await opened();
    queue.add([film('a.mp4')], 'meadow');
    await settle();
    sent[0]?.events.created('/api/uploads/1', 'v1');
    sent[0]?.events.failed(broken);
    expect(queue.items[0]?.status).toBe('retrying');
    await vi.advanceTimersByTimeAsync(1_300);
    expect(sent[1]?.from.url).toBe('/api/uploads/1');
    sent[1]?.events.failed(broken);
    await vi.advanceTimersByTimeAsync(1_300);
    expect(sent).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1_300);
    expect(sent).toHaveLength(3);
  });

  it('does not wait once the browser is online again', async () => {
    const { queue, sent } = await opened();
    queue.add([film('a.mp4')], 'meadow');
    await settle();
    queue.setOnline(false);
    sent[0]?.events.failed(broken);
    queue.setOnline(true);
    await settle();
    expect(sent).toHaveLength(2);
  });

  it('being told again that it is online changes nothing about the waiting', async () => {
    const { queue, sent } = await opened();
    queue.add([film('a.mp4')], 'meadow');
    await settle();
    sent[0]?.events.failed(broken);
    queue.setOnline(true);
    await settle();
    expect(sent).toHaveLength(1);
  });

  it('starts over when the server has forgotten the upload', async () => {
    const { queue, sent } = await opened();
    queue.add([film('a.mp4')], 'meadow');
    await settle();
    sent[0]?.events.created('/api/uploads/1', 'v1');
    sent[0]?.events.failed(new ApiError(410, 'upload-gone', 'gone'));
    await settle();
    expect(sent[1]?.from.url).toBeUndefined();
    expect(queue.items[0]?.status).toBe('uploading');
  });

  it('says what is wrong when trying again cannot help, and goes on with the next', async () => {
    const { queue, sent } = await opened();
    queue.add([film('a.mp4'), film('b.mp4'), film('c.mp4')], 'meadow');
    await settle();
    sent[0]?.events.failed(new ApiError(413, 'quota-exceeded', 'full'));
    await settle();
    expect(queue.items.map((item) => item.status)).toEqual(['failed', 'uploading', 'uploading']);
  });

  it('hears nothing from a transfer that was paused, and goes on from there', async () => {
    const { queue, sent } = await opened();
    const [item] = queue.add([film('a.mp4')], 'meadow');
    await settle();
    sent[0]?.events.created('/api/uploads/1', 'v1');
    if (item) queue.pause(item);
    expect(sent[0]?.stopped).toBe(true);
    sent[0]?.events.failed(broken);
    sent[0]?.events.done();
    expect(item?.status).toBe('paused');
    if (item) queue.resume(item);
    await settle();
    expect(sent[1]?.from.url).toBe('/api/uploads/1');
  });

  it('keeps what was typed before the creation for the creation', async () => {
    const { queue, sent } = await opened();
    const items = queue.add([film('a.mp4'), film('b.mp4'), film('my_film.mp4')], 'meadow');
    if (items[2]) queue.edit(items[2], { title: 'Meadow', privacy: 'private', tags: ['a', 'b'] });
    await settle();
    sent[0]?.events.created('/api/uploads/1', 'v1');
    sent[0]?.events.done();
    await settle();
    expect(sent[2]?.from.metadata).toEqual({
      filename: 'my_film.mp4',
      title: 'Meadow',
      channel: 'meadow',
      privacy: 'private',
      tags: 'a,b',
    });
  });

  it('tells the server once what was typed while bytes were sent', async () => {
    const { queue, sent } = await opened();
    const [item] = queue.add([film('a.mp4')], 'meadow');
    await settle();
    sent[0]?.events.created('/api/uploads/1', 'v1');
    for (const title of ['M', 'Me', 'Meadow']) if (item) queue.edit(item, { title });
    await vi.advanceTimersByTimeAsync(5_000);
    const patches = requests.filter((one) => one.method === 'PATCH');
    expect(patches).toEqual([{ method: 'PATCH', path: '/api/videos/v1', body: { title: 'Meadow' } }]);
    expect(item?.save).toBe('saved');
  });

  it('ends an upload on the server too when it is cancelled', async () => {
    const { queue, sent, kept } = await opened();
    const [item] = queue.add([film('a.mp4')], 'meadow');
    await settle();
    sent[0]?.events.created('/api/uploads/1', 'v1');
    if (item) await queue.cancel(item);
    expect(requests).toEqual([{ method: 'DELETE', path: '/api/uploads/1', body: undefined }]);
    expect(queue.items).toEqual([]);
    expect(kept.size).toBe(0);
    expect(loadRecords()).toEqual([]);
  });
});

describe('after a reload', () => {
  async function begun() {
    const first = await opened();
    first.queue.add([film('a.mp4')], 'meadow');
    await settle();
    first.sent[0]?.events.created('/api/uploads/1', 'v1');
    first.sent[0]?.events.accepted(400);
    return first;
  }

  it('goes on by itself with the file that the browser kept', async () => {
    const { kept } = await begun();
    const { queue, sent } = await opened(kept);
    await settle();
    expect(sent[0]?.from.url).toBe('/api/uploads/1');
    expect(queue.items[0]?.bytes).toBe(400);
  });

  it('asks for the same file where it did not', async () => {
    await begun();
    const { queue, sent } = await opened();
    const item = queue.items[0];
    expect(item?.status).toBe('file-needed');
    expect(item && queue.giveFile(item, film('a.mp4', 999))).toBe(false);
    expect(item && queue.giveFile(item, film('a.mp4'))).toBe(true);
    await settle();
    expect(sent[0]?.from.url).toBe('/api/uploads/1');
  });

  it('a paused one stays paused', async () => {
    const { queue, kept } = await begun();
    if (queue.items[0]) queue.pause(queue.items[0]);
    const next = await opened(kept);
    await settle();
    expect(next.queue.items[0]?.status).toBe('paused');
    expect(next.sent).toEqual([]);
  });

  it('shows nothing of it to somebody else, nor in a second tab', async () => {
    const { kept } = await begun();
    const other = tab(kept);
    await other.queue.open('berta');
    expect(other.queue.items).toEqual([]);
    const second = tab(kept, false);
    await second.queue.open('anna');
    expect(second.queue.items).toEqual([]);
    expect(loadRecords()).toHaveLength(1);
  });
});

describe('what trying again can help', () => {
  it.each([
    [0, 'network', true],
    [503, 'service-unavailable', true],
    [423, 'upload-locked', true],
    [409, 'upload-offset-mismatch', true],
    [409, 'too-many', false],
    [507, 'disk-full', false],
    [413, 'quota-exceeded', false],
    [401, 'not-signed-in', false],
  ])('%i %s: %s', (status, code, transient) => {
    expect(isTransient(new ApiError(status, code, ''))).toBe(transient);
  });

  it('waits longer and longer, or as long as the server says', () => {
    expect([1, 2, 3, 10].map((failures) => retryMs(failures, undefined, 0))).toEqual([1000, 2000, 4000, 30_000]);
    expect(retryMs(1, 7, 0)).toBe(7000);
  });
});
