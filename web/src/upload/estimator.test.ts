import { describe, expect, it } from 'vitest';
import { Estimator } from './estimator';

describe('Estimator', () => {
  it('says nothing before it has seen a second', () => {
    const estimator = new Estimator();
    estimator.add(0, 0);
    estimator.add(400, 1000);
    expect(estimator.speed()).toBeUndefined();
    expect(estimator.secondsLeft(10_000)).toBeUndefined();
  });

  it('knows an even speed and what it means for the rest', () => {
    const estimator = new Estimator();
    for (let second = 0; second <= 5; second += 1) estimator.add(second * 1000, second * 2_000_000);
    expect(estimator.speed()).toBeCloseTo(2_000_000);
    expect(estimator.secondsLeft(30_000_000)).toBeCloseTo(10);
  });

  it('forgets a fast start once the line has become slow', () => {
    const estimator = new Estimator();
    let done = 0;
    for (let second = 0; second <= 5; second += 1) estimator.add(second * 1000, (done += 10_000));
    for (let second = 6; second <= 40; second += 1) estimator.add(second * 1000, (done += 1_000));
    expect(estimator.speed()).toBeCloseTo(1_000);
  });

  it('a standstill makes the time grow, not end', () => {
    const estimator = new Estimator();
    estimator.add(0, 0);
    estimator.add(2000, 2000);
    const before = estimator.secondsLeft(4000) ?? 0;
    estimator.add(6000, 2000);
    expect(estimator.secondsLeft(4000)).toBeGreaterThan(before);
  });

  it('starts over when a part was lost', () => {
    const estimator = new Estimator();
    estimator.add(0, 0);
    estimator.add(5000, 50_000);
    estimator.add(6000, 20_000);
    expect(estimator.speed()).toBeUndefined();
    estimator.add(8000, 24_000);
    expect(estimator.speed()).toBeCloseTo(2_000);
  });

  it('says nothing after a reset', () => {
    const estimator = new Estimator();
    estimator.add(0, 0);
    estimator.add(5000, 50_000);
    estimator.reset();
    expect(estimator.speed()).toBeUndefined();
  });

  it('never has time left when all is done', () => {
    const estimator = new Estimator();
    estimator.add(0, 0);
    estimator.add(2000, 100);
    expect(estimator.secondsLeft(100)).toBe(0);
    expect(estimator.secondsLeft(90)).toBe(0);
  });
});
