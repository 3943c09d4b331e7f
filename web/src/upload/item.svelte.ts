import type { Processing } from '$/api/types';
import type { Details } from './details';
import { Estimator } from './estimator';
import { encoded, working } from './processing-watch';
import type { UploadRecord } from './record';

/**
 * Where a file is on its way. `retrying` waits for the line, `file-needed` for the person, `failed` too;
 * `playable` goes on processing behind.
 */
export type UploadStatus =
  | 'waiting'
  | 'uploading'
  | 'paused'
  | 'retrying'
  | 'file-needed'
  | 'failed'
  | 'processing'
  | 'playable'
  | 'done'
  | 'unplayable';

/** Whether what was typed has reached the server. */
export type SaveState = 'kept' | 'saving' | 'saved' | 'failed';

/** How often the numbers beside the bar change. */
const READOUT_MS = 500;

/** One file of the queue, as it is shown. */
export class UploadItem {
  status = $state<UploadStatus>('waiting');
  details = $state<Details>() as Details;
  bytes = $state(0);
  /** Bytes a second. */
  speed = $state<number>();
  secondsLeft = $state<number>();
  error = $state.raw<unknown>();
  videoId = $state<string>();
  save = $state<SaveState>('kept');
  saveError = $state.raw<unknown>();
  processing = $state.raw<Processing>();
  /** Until all qualities are there. */
  processingLeft = $state<number>();
  /** A reload does not need the person to choose the file again. */
  stored = $state(false);

  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly #line = new Estimator();
  readonly #work = new Estimator();
  #shownAt = 0;

  constructor(record: UploadRecord) {
    this.id = record.id;
    this.name = record.name;
    this.size = record.size;
    this.details = record.details;
    this.bytes = record.offset;
    this.videoId = record.videoId;
  }

  /** 0–1 of the upload. */
  get share(): number {
    return this.size > 0 ? Math.min(1, this.bytes / this.size) : 1;
  }

  /** Still has bytes to send. */
  get sending(): boolean {
    return ['waiting', 'uploading', 'paused', 'retrying', 'file-needed', 'failed'].includes(this.status);
  }

  /** Nothing more will happen by itself. */
  get over(): boolean {
    return this.status === 'done' || this.status === 'unplayable';
  }

  sent(bytes: number, now: number): void {
    this.bytes = bytes;
    this.#line.add(now, bytes);
    if (now - this.#shownAt < READOUT_MS) return;
    this.#shownAt = now;
    this.speed = this.#line.speed();
    this.secondsLeft = this.#line.secondsLeft(this.size);
  }

  /** The line is not in use. */
  still(): void {
    this.#line.reset();
    this.speed = this.secondsLeft = undefined;
  }

  /** Takes what the server says of the processing; returns whether there is more to come. */
  processed(processing: Processing, now: number): boolean {
    this.processing = processing;
    const { state, jobs } = processing;
    const share = encoded(jobs);
    if (share !== undefined) this.#work.add(now, share);
    this.processingLeft = this.#work.secondsLeft(1);
    const more = working(jobs);
    if (state === 'failed' || state === 'blocked') this.status = 'unplayable';
    else if (state === 'published' || state === 'scheduled') this.status = more ? 'playable' : 'done';
    else this.status = 'processing';
    return !this.over;
  }
}
