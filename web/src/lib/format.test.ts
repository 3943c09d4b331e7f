import { describe, expect, it } from 'vitest';
import { bytes, clock, compact, relative, span } from './format';

describe('format', () => {
  it('writes clocks', () => {
    expect([0, 65, 3723, Number.NaN, -3].map(clock)).toEqual(['0:00', '1:05', '1:02:03', '0:00', '0:00']);
  });

  it('writes counts and sizes as the language does', () => {
    expect(compact(1234, 'en')).toBe('1.2K');
    expect(bytes(1_500_000, 'en')).toBe('1.5 MB');
    expect(bytes(1_500_000, 'de')).toContain('1,5');
  });

  it('never speaks of the future, and rounds down', () => {
    const now = new Date('2026-11-24T12:00:00Z');
    expect(relative(new Date('2026-11-24T12:00:05Z'), now, 'en')).toBe('now');
    expect(relative(new Date('2026-11-21T11:00:00Z'), now, 'en')).toBe('3 days ago');
  });

  it('rounds waits as a person would', () => {
    expect([0.2, 24, 240, 7200].map((seconds) => span(seconds, 'en'))).toEqual([
      '1 second',
      '30 seconds',
      '4 minutes',
      '2 hours',
    ]);
  });
});
