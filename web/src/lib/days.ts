/** Things of one day. */
export interface Day<T> {
  /** Midnight of that day, here. */
  start: Date;
  /** 0 is today, 1 yesterday. */
  ago: number;
  items: T[];
}

/** Puts things that are in order of time under the days they belong to, in the reader's time zone. */
export function byDay<T>(items: readonly T[], timeOf: (item: T) => string, now: Date): Day<T>[] {
  const today = midnight(now);
  const days: Day<T>[] = [];
  for (const item of items) {
    const start = midnight(new Date(timeOf(item)));
    const last = days.at(-1);
    if (last?.start.getTime() === start.getTime()) last.items.push(item);
    // Rounded: a day in spring has 23 hours.
    else days.push({ start, ago: Math.round((today.getTime() - start.getTime()) / 86_400_000), items: [item] });
  }
  return days;
}

function midnight(time: Date): Date {
  return new Date(time.getFullYear(), time.getMonth(), time.getDate());
}
