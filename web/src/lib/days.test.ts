import { describe, expect, it } from 'vitest';
import { byDay } from './days';

const at = (day: number, hour: number) => new Date(2026, 10, day, hour).toISOString();
const now = new Date(2026, 10, 24, 12);

describe('byDay', () => {
  it('makes one group a day, newest first, as they come', () => {
    const days = byDay([at(24, 9), at(24, 0), at(23, 23), at(20, 5)], (time) => time, now);
    expect(days.map((day) => [day.ago, day.items.length])).toEqual([
      [0, 2],
      [1, 1],
      [4, 1],
    ]);
  });

  it('counts days, not 24 hours: an hour before midnight was yesterday', () => {
    const early = new Date(2026, 10, 24, 0, 30);
    expect(byDay([at(23, 23)], (time) => time, early)[0]?.ago).toBe(1);
  });

  it('has nothing for nothing', () => expect(byDay([], String, now)).toEqual([]));
});
