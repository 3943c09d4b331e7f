import { describe, expect, it } from 'vitest';
import type { Job } from '$/api/types';
import { encoded, overall, working } from './processing-watch';

function job(kind: Job['kind'], state: Job['state'], progress = 0, height?: number): Job {
  return { id: `${kind}${height ?? ''}`, videoId: 'v', kind, state, progress, height };
}

describe('how far the processing is', () => {
  const jobs = [
    job('probe', 'done', 1),
    job('poster', 'waiting'),
    job('rendition', 'done', 1, 500),
    job('rendition', 'running', 0.5, 1000),
  ];

  it('counts every step for the bar', () => {
    expect(overall(jobs)).toBeCloseTo((1 + 0 + 1 + 0.5) / 4);
    expect(overall([])).toBe(0);
  });

  it('counts pixels for the time that is left', () => {
    expect(encoded(jobs)).toBeCloseTo((0.25 + 0.5) / 1.25);
    expect(encoded([job('probe', 'done', 1)])).toBeUndefined();
  });

  it('is over when nothing waits or runs, even if something failed', () => {
    expect(working(jobs)).toBe(true);
    expect(working([job('probe', 'done', 1), job('poster', 'failed')])).toBe(false);
  });
});
