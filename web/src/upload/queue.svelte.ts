import { ApiError, request } from '$/api/client';
import { patchVideo } from '$/api/videos';
import type { Notification } from '$/api/types';
import { recall, remember } from '$/lib/storage';
import { changes, firstDetails, metadataOf, titleOf, type Details } from './details';
import type { FileStore } from './files';
import { UploadItem } from './item.svelte';
import { ProcessingWatch } from './processing-watch';
import { isSameFile, loadRecords, saveRecords, type UploadRecord } from './record';
import type { StartTransfer, Transfer } from './transfer';

/** Files that are sent at the same time: the first is playable sooner, and a small one need not wait long. */
const AT_ONCE = 2;
const SAVE_AFTER_MS = 900;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/** What was chosen last, for the next file. */
const CHOICES_KEY = 'uploadChoices';

/** What the queue works with; tests bring their own. */
export interface QueueTools {
  transfer: () => Promise<StartTransfer>;
  files: FileStore;
  /** Holds a name for this tab alone; false when another tab has it. */
  hold: (name: string) => Promise<boolean>;
  now: () => number;
  untitled: () => string;
}

/** What belongs to an item and is nobody's to see. */
interface Work {
  record: UploadRecord;
  file?: File;
  transfer?: Transfer;
  /** Counts starts: what an earlier one still reports is not heard. */
  turn: number;
  failures: number;
  retryTimer?: ReturnType<typeof setTimeout>;
  saveTimer?: ReturnType<typeof setTimeout>;
  watch?: ProcessingWatch;
}

/**
 * All uploads of this tab. It lives outside of the pages, keeps what it needs for a reload, and tries again by
 * itself whatever can be tried again.
 */
export class UploadQueue {
  items = $state.raw<UploadItem[]>([]);
  online = $state(true);
  #work = new Map<string, Work>();
  #user: string | undefined;
  #gone = new Set<string>();

  constructor(private readonly tools: QueueTools) {}

  /** Somebody signed in: goes on with what is theirs. */
  async open(user: string): Promise<void> {
    if (this.#user === user) return;
    this.close();
    this.#user = user;
    for (const record of loadRecords().filter((record) => record.user === user)) await this.#restore(record);
    this.#fill();
  }

  /** Nobody is signed in: stops, and keeps everything for later. */
  close(): void {
    for (const [id, work] of this.#work) {
      this.#halt(id);
      work.watch?.stop();
      clearTimeout(work.saveTimer);
    }
    this.#work.clear();
    this.items = [];
    this.#user = undefined;
  }

  /** Adds files at the end; they start by themselves. Returns the new items. */
  add(files: Iterable<File>, channel: string): UploadItem[] {
    const user = this.#user;
    if (!user) return [];
    const choices = recall<Partial<Details>>(CHOICES_KEY);
    const added = [...files].map((file) => {
      const record: UploadRecord = {
        id: crypto.randomUUID?.() ?? Math.random().toString(36).slice(2),
        user,
        name: file.name,
        size: file.size,
        lastModified: file.lastModified,
        details: {
          title: titleOf(file.name, this.tools.untitled()),
          description: '',
          channel,
          privacy: choices?.privacy ?? 'public',
          tags: [],
        },
        offset: 0,
        sentAll: false,
        paused: false,
      };
      return this.#take(record, file);
    });
    this.#persist();
    for (const item of added) void this.#keepFile(item);
    this.#fill();
    return added;
  }

  pause(item: UploadItem): void {
    this.#halt(item.id);
    item.status = 'paused';
    this.#change(item, (record) => (record.paused = true));
    this.#fill();
  }

  /** After a pause or a failure: goes on where the server is. */
  resume(item: UploadItem): void {
    const work = this.#work.get(item.id);
    if (!work) return;
    clearTimeout(work.retryTimer);
    item.error = undefined;
    work.failures = 0;
    item.status = work.file ? 'waiting' : 'file-needed';
    this.#change(item, (record) => (record.paused = false));
    this.#fill();
  }

  /** The file was chosen again after a reload. Returns false when it is another one. */
  giveFile(item: UploadItem, file: File): boolean {
    const work = this.#work.get(item.id);
    if (!work || !isSameFile(work.record, file)) return false;
    work.file = file;
    void this.#keepFile(item);
    this.resume(item);
    return true;
  }

  /** Ends an unfinished upload for good: what the server has of it goes too. */
  async cancel(item: UploadItem): Promise<void> {
    const url = this.#work.get(item.id)?.record.url;
    this.#halt(item.id);
    this.#drop(item);
    if (!url) return;
    try {
      await request<void>('DELETE', url, { headers: { 'Tus-Resumable': '1.0.0' } });
    } catch (error) {
      // It is gone, or it expires by itself.
      if (error instanceof ApiError && error.status !== 0) return;
    }
  }

  /** Takes it out of the list; a finished film stays where it is. */
  dismiss(item: UploadItem): void {
    void this.#save(item);
    this.#drop(item);
  }

  #drop(item: UploadItem): void {
    const work = this.#work.get(item.id);
    if (!work) return;
    work.watch?.stop();
    clearTimeout(work.saveTimer);
    this.#work.delete(item.id);
    this.#gone.add(item.id);
    this.items = this.items.filter((other) => other !== item);
    void this.tools.files.remove(item.id);
    this.#persist();
    this.#fill();
  }

  /** What was typed: kept here at once, told to the server a moment later. */
  edit(item: UploadItem, part: Partial<Details>): void {
    Object.assign(item.details, part);
    if (part.privacy) remember(CHOICES_KEY, { privacy: part.privacy });
    this.#change(item, (record) => (record.details = $state.snapshot(item.details)));
    this.#saveSoon(item);
  }

  /** The browser is online again, or not any more. */
  setOnline(online: boolean): void {
    const cameBack = online && !this.online;
    this.online = online;
    if (!cameBack) return;
    for (const item of this.items) if (item.status === 'retrying') this.#retryNow(item);
  }

  /** The live line told something: it may be about one of these. */
  hear(notification: Notification): void {
    for (const item of this.items) {
      if (item.videoId && item.videoId === notification.videoId) this.#work.get(item.id)?.watch?.poke();
    }
  }

  async #restore(record: UploadRecord): Promise<void> {
    if (!(await this.tools.hold(`djstream-upload-${record.id}`)) || record.user !== this.#user) return;
    const file = record.sentAll ? undefined : await this.tools.files.get(record.id);
    const item = this.#take(record, file);
    item.stored = file !== undefined;
    if (record.sentAll) this.#follow(item);
    else if (record.paused) item.status = 'paused';
    else if (!file) item.status = 'file-needed';
    if (record.videoId) this.#saveSoon(item);
  }

  #take(record: UploadRecord, file: File | undefined): UploadItem {
    const item = new UploadItem(record);
    this.#work.set(record.id, { record, file, turn: 0, failures: 0 });
    this.items = [...this.items, item];
    void this.tools.hold(`djstream-upload-${record.id}`);
    return item;
  }

  async #keepFile(item: UploadItem): Promise<void> {
    const file = this.#work.get(item.id)?.file;
    if (file) item.stored = await this.tools.files.put(item.id, file);
  }

  /** Starts what may start. */
  #fill(): void {
    let busy = this.items.filter((item) => item.status === 'uploading').length;
    for (const item of this.items) {
      if (busy >= AT_ONCE) return;
      if (item.status !== 'waiting') continue;
      busy += 1;
      void this.#start(item);
    }
  }

  async #start(item: UploadItem): Promise<void> {
    const work = this.#work.get(item.id);
    if (!work?.file) return;
    item.status = 'uploading';
    const turn = ++work.turn;
    const current = () => work.turn === turn && this.#work.get(item.id) === work;
    let start: StartTransfer;
    try {
      start = await this.tools.transfer();
    } catch {
      return void (current() && this.#failed(item, new ApiError(0, 'network', 'The server cannot be reached.')));
    }
    if (!current()) return;
    const first = firstDetails($state.snapshot(item.details), item.name);
    work.transfer = start(
      work.file,
      { url: work.record.url, metadata: metadataOf(first, item.name) },
      {
        created: (url, videoId) => current() && this.#created(item, url, videoId, first),
        progress: (bytes) => current() && item.sent(bytes, this.tools.now()),
        accepted: (bytes) => {
          if (!current()) return;
          work.failures = 0;
          this.#change(item, (record) => (record.offset = bytes));
        },
        done: () => current() && this.#done(item),
        failed: (error) => current() && this.#failed(item, error),
      },
    );
  }

  #created(item: UploadItem, url: string, videoId: string | undefined, sent: Details): void {
    item.videoId = videoId;
    this.#change(item, (record) => Object.assign(record, { url, videoId, sent, offset: 0 }));
    this.#saveSoon(item);
  }

  #done(item: UploadItem): void {
    item.sent(item.size, this.tools.now());
    item.still();
    this.#change(item, (record) => {
      record.sentAll = true;
      record.offset = item.size;
    });
    void this.tools.files.remove(item.id);
    this.#follow(item);
    this.#fill();
  }

  #failed(item: UploadItem, error: ApiError): void {
    const work = this.#work.get(item.id);
    if (!work) return;
    item.still();
    const lost = work.record.url !== undefined && (error.status === 404 || error.status === 410);
    if (lost) {
      // It has expired or was ended elsewhere: from the start, as a new one.
      this.#change(item, (record) => Object.assign(record, { url: undefined, videoId: undefined, sent: undefined }));
      item.videoId = undefined;
      item.bytes = 0;
      item.status = 'waiting';
    } else if (isTransient(error)) {
      work.failures += 1;
      item.status = 'retrying';
      const ms = error.code === 'token-renewed' ? 0 : retryMs(work.failures, error.retryAfterS);
      work.retryTimer = setTimeout(() => this.#retryNow(item), ms);
    } else {
      item.error = error;
      item.status = 'failed';
    }
    this.#fill();
  }

  #retryNow(item: UploadItem): void {
    clearTimeout(this.#work.get(item.id)?.retryTimer);
    item.status = 'waiting';
    this.#fill();
  }

  #follow(item: UploadItem): void {
    const work = this.#work.get(item.id);
    item.status = 'processing';
    if (!work || !item.videoId) return;
    work.watch = new ProcessingWatch(
      item.videoId,
      (processing) => {
        const more = item.processed(processing, this.tools.now());
        // There is nothing left that a reload would have to go on with.
        if (!more) this.#persist();
        return more;
      },
      (error) => {
        // Deleted meanwhile, here or elsewhere.
        if (error instanceof ApiError && error.status === 404) this.dismiss(item);
      },
    );
  }

  #halt(id: string): void {
    const work = this.#work.get(id);
    if (!work) return;
    work.turn += 1;
    work.transfer?.stop();
    work.transfer = undefined;
    clearTimeout(work.retryTimer);
    this.items.find((item) => item.id === id)?.still();
  }

  #saveSoon(item: UploadItem): void {
    const work = this.#work.get(item.id);
    if (!work) return;
    clearTimeout(work.saveTimer);
    work.saveTimer = setTimeout(() => void this.#save(item), SAVE_AFTER_MS);
  }

  /** Tells the server what it does not know yet of the details. */
  async #save(item: UploadItem): Promise<void> {
    const work = this.#work.get(item.id);
    const { videoId, sent } = work?.record ?? {};
    if (!work || !videoId || !sent) return;
    clearTimeout(work.saveTimer);
    const wanted = $state.snapshot(item.details);
    const patch = changes(sent, wanted);
    if (!patch) return;
    item.save = 'saving';
    try {
      await patchVideo(videoId, patch);
      item.save = 'saved';
      item.saveError = undefined;
      this.#change(item, (record) => (record.sent = { ...sent, ...patch } as Details));
    } catch (error) {
      item.save = 'failed';
      item.saveError = error;
      if (error instanceof ApiError && isTransient(error)) this.#saveSoon(item);
    }
  }

  #change(item: UploadItem, change: (record: UploadRecord) => void): void {
    const work = this.#work.get(item.id);
    if (!work) return;
    change(work.record);
    this.#persist();
  }

  #persist(): void {
    if (!this.#user) return;
    const unfinished = this.items.filter((item) => !item.over);
    for (const item of this.items) if (item.over) this.#gone.add(item.id);
    const records = unfinished.flatMap((item) => this.#work.get(item.id)?.record ?? []);
    saveRecords(this.#user, records, this.#gone);
  }
}

/** Whether trying again may help without anybody doing anything. */
export function isTransient(error: ApiError): boolean {
  const { status, code } = error;
  if (code === 'too-many') return false;
  return status === 0 || status === 409 || status === 423 || status === 429 || (status >= 500 && status !== 507);
}

/** Doubles; the server's own wish comes first; a little chance keeps clients apart. */
export function retryMs(failures: number, retryAfterS?: number, chance = Math.random()): number {
  const wished = retryAfterS === undefined ? RETRY_FIRST_MS * 2 ** (failures - 1) : retryAfterS * 1000;
  return Math.min(RETRY_MAX_MS, wished) * (1 + 0.3 * chance);
}
