import { getProcessing } from '$/api/videos';
import type { Job, Processing } from '$/api/types';

const FIRST_MS = 1_500;
const LONGEST_MS = 15_000;
const GROWTH = 1.4;

/** Follows what becomes of an uploaded film, asking less and less often, and not at all while nobody looks. */
export class ProcessingWatch {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = FIRST_MS;
  #stopped = false;

  constructor(
    private readonly videoId: string,
    /** Returns whether there is more to wait for. */
    private readonly onchange: (processing: Processing) => boolean,
    private readonly onerror: (error: unknown) => void,
  ) {
    document.addEventListener('visibilitychange', this.#seen);
    void this.#ask();
  }

  /** Something happened: asks now, and often again. */
  poke(): void {
    if (this.#stopped) return;
    this.#pause = FIRST_MS;
    clearTimeout(this.#timer);
    void this.#ask();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#seen);
  }

  #seen = (): void => {
    if (!document.hidden) this.poke();
  };

  async #ask(): Promise<void> {
    if (document.hidden) return;
    try {
      const processing = await getProcessing(this.videoId);
      if (this.#stopped) return;
      if (!this.onchange(processing)) return this.stop();
    } catch (error) {
      if (this.#stopped) return;
      this.onerror(error);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), this.#pause);
    this.#pause = Math.min(LONGEST_MS, this.#pause * GROWTH);
  }
}

/** How far all steps are together, 0–1. */
export function overall(jobs: Job[]): number {
  if (jobs.length === 0) return 0;
  return jobs.reduce((sum, job) => sum + (job.state === 'done' ? 1 : job.progress), 0) / jobs.length;
}

/**
 * How much of the encoding is done, 0–1, by the number of pixels: what takes the time. `undefined` when there is
 * nothing to encode.
 */
export function encoded(jobs: Job[]): number | undefined {
  let done = 0;
  let total = 0;
  for (const { kind, height = 0, state, progress } of jobs) {
    if (kind !== 'rendition') continue;
    const weight = Math.max(1, height) ** 2;
    total += weight;
    done += weight * (state === 'done' ? 1 : progress);
  }
  return total > 0 ? done / total : undefined;
}

/** Whether a step may still change something. */
export function working(jobs: Job[]): boolean {
  return jobs.some((job) => job.state === 'waiting' || job.state === 'running');
}
