import { describe, expect, it } from 'vitest';
import { chaptersText, parseChapters } from './chapters';

describe('parseChapters', () => {
  it('reads minutes and hours, dashes and empty lines', () => {
    const { chapters, problem } = parseChapters('0:00 Start\n\n 1:30 – The brook \n1:02:03 - End\n', 4000);
    expect(problem).toBeUndefined();
    expect(chapters).toEqual([
      { startSeconds: 0, title: 'Start' },
      { startSeconds: 90, title: 'The brook' },
      { startSeconds: 3723, title: 'End' },
    ]);
  });

  it.each([
    ['Start', 1, 'line'],
    ['0:00 Start\n1:75 Brook', 2, 'line'],
    ['0:00', 1, 'line'],
    ['0:00 a\n0:00 b', 2, 'order'],
    ['0:00 a\n2:00 b\n1:00 c', 3, 'order'],
    ['0:00 a\n10:00 b', 2, 'late'],
  ])('%j is refused', (text, line, what) => {
    expect(parseChapters(text, 300).problem).toEqual({ line, what });
  });

  it('does not refuse a time while the length is not known', () => {
    expect(parseChapters('0:00 a\n10:00 b', 0).problem).toBeUndefined();
  });

  it('reads what it writes', () => {
    const chapters = [
      { startSeconds: 0, title: 'Start' },
      { startSeconds: 3723, title: '2 – End' },
    ];
    expect(parseChapters(chaptersText(chapters), 4000).chapters).toEqual(chapters);
  });
});
