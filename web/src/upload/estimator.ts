/** What is looked back upon, so that the speed follows the line but does not jump. */
const WINDOW_MS = 12_000;
/** Before this much was seen, any number would be a guess. */
const LEAST_MS = 1_000;

interface Sample {
  at: number;
  done: number;
}

/**
 * How fast something goes and how long it still takes, from how far it was when. `done` only has to grow:
 * bytes of a file as well as the share of a job. Times are milliseconds and come in from outside.
 */
export class Estimator {
  #samples: Sample[] = [];

  add(at: number, done: number): void {
    const last = this.#samples.at(-1);
    // It was begun anew, or a part was lost: what was seen before says nothing.
    if (last && (done < last.done || at < last.at)) this.#samples = [];
    this.#samples.push({ at, done });
    // One from before the window stays, to measure from.
    while (this.#samples.length > 2 && (this.#samples[1]?.at ?? at) <= at - WINDOW_MS) this.#samples.shift();
  }

  /** After a pause. */
  reset(): void {
    this.#samples = [];
  }

  /** A second; `undefined` while it is too early to say. */
  speed(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.at - first.at < LEAST_MS) return undefined;
    return ((last.done - first.done) / (last.at - first.at)) * 1000;
  }

  /** Until `done` is `total`, in seconds; `undefined` while nobody can know. */
  secondsLeft(total: number): number | undefined {
    const speed = this.speed();
    const last = this.#samples.at(-1);
    if (!speed || !last) return undefined;
    return Math.max(0, total - last.done) / speed;
  }
}
