import { describe, expect, it } from 'vitest';
import { parseClock, pieces } from './rich-text';

const kinds = (text: string, duration?: number) => pieces(text, duration).map((piece) => [piece.kind, piece.text]);

describe('pieces', () => {
  it('finds times within the film only', () => {
    expect(kinds('at 1:05, not 9:00', 120)).toEqual([
      ['text', 'at '],
      ['time', '1:05'],
      ['text', ', not 9:00'],
    ]);
  });

  it('leaves punctuation and closing brackets out of addresses', () => {
    expect(kinds('(see https://example.org/a_(b)).')).toContainEqual(['link', 'https://example.org/a_(b)']);
    expect(kinds('see https://example.org/1:05.')).toContainEqual(['link', 'https://example.org/1:05']);
  });

  it('tells mentions and tags from addresses of mail', () => {
    expect(kinds('@anna a@example.org #nature')).toEqual([
      ['mention', '@anna'],
      ['text', ' a@example.org '],
      ['tag', '#nature'],
    ]);
  });

  it('keeps every character', () => {
    const text = 'x 0:01 @bo. https://e.org, #ä1 🐇\n99:99';
    expect(
      pieces(text)
        .map((piece) => piece.text)
        .join(''),
    ).toBe(text);
  });
});

describe('parseClock', () => {
  it('reads clocks, seconds and units', () => {
    expect(['1:05', '1:02:03', '90', '1h2m3s', '', '1:99', 'x'].map(parseClock)).toEqual([
      65,
      3723,
      90,
      3723,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
