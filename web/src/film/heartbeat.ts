import { sendView } from '$/api/interactions';

/** How often the server is told where the film is. */
const BEAT_MS = 10_000;
/** A view counts after this long, or half of a shorter film. */
const COUNTS_AFTER_S = 10;

/** The page's own random id: it tells one viewer from another, and nobody's name. */
let pageId: string | undefined;

function sessionId(): string {
  pageId ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );
  return pageId;
}

/** Adds up what was really watched, and tells the server: pauses and jumps are left out. */
export class Heartbeat {
  #watched = 0;
  #last: number | undefined;
  #told = 0;
  #toldAt = 0;
  #counted = false;

  constructor(
    private readonly video: string,
    private readonly duration: number,
    private readonly send: typeof sendView = sendView,
  ) {}

  get watchedSeconds(): number {
    return this.#watched;
  }

  /** The film is at `position`, and plays. */
  playing(position: number, nowMs: number): void {
    const step = this.#last === undefined ? 0 : position - this.#last;
    this.#last = position;
    // More than two seconds at once is a jump, not watching.
    if (step > 0 && step < 2) this.#watched += step;
    const due = !this.#counted && this.#watched >= Math.min(COUNTS_AFTER_S, this.duration / 2);
    if (due || (this.#watched - this.#told > 1 && nowMs - this.#toldAt >= BEAT_MS)) this.tell(position, nowMs);
    if (due) this.#counted = true;
  }

  /** It stands still: what comes next is measured from there. */
  stopped(position: number, nowMs: number): void {
    this.#last = undefined;
    if (this.#watched > this.#told) this.tell(position, nowMs);
  }

  private tell(position: number, nowMs: number): void {
    this.#told = this.#watched;
    this.#toldAt = nowMs;
    const body = { sessionId: sessionId(), positionSeconds: position, watchedSeconds: this.#watched };
    // A beat that is lost is made up for by the next one.
    this.send(this.video, body).catch(() => undefined);
  }
}
