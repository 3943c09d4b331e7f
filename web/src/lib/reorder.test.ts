import { describe, expect, it } from 'vitest';
import { moved, placeAt } from './reorder';

describe('moved', () => {
  const list = ['a', 'b', 'c', 'd'];

  it.each([
    [0, 2, 'bcad'],
    [3, 0, 'dabc'],
    [1, 1, 'abcd'],
    [1, 99, 'acdb'],
    [2, -5, 'cabd'],
  ])('%i → %i: %s', (from, to, result) => expect(moved(list, from, to).join('')).toBe(result));

  it('leaves the list itself alone, and what is not in it', () => {
    expect(moved(list, 9, 0)).toEqual(list);
    expect(list.join('')).toBe('abcd');
  });
});

describe('placeAt', () => {
  const spans = [0, 100, 200, 300].map((top) => ({ top, height: 100 }));

  it('passes a neighbour at its middle, in both directions', () => {
    expect(placeAt(spans, 1, 240)).toBe(1);
    expect(placeAt(spans, 1, 260)).toBe(2);
    expect(placeAt(spans, 1, 60)).toBe(1);
    expect(placeAt(spans, 1, 40)).toBe(0);
  });

  it('ends at the ends', () => {
    expect(placeAt(spans, 2, -500)).toBe(0);
    expect(placeAt(spans, 0, 5000)).toBe(3);
  });

  it('gives the place that `moved` wants', () => {
    expect(moved(['a', 'b', 'c', 'd'], 0, placeAt(spans, 0, 260)).join('')).toBe('bcad');
  });
});
