import type { Chapter } from '$/api/types';
import { clock } from './format';

/** The longest title of a chapter, in characters. */
const TITLE_LENGTH_MAX = 100;

/** What is wrong with a line, counted from 1. */
export interface ChapterProblem {
  line: number;
  what: 'line' | 'order' | 'late';
}

/** '1:02:03' → 3723; `undefined` when it is no time. */
function secondsOf(text: string): number | undefined {
  const parts = text.split(':').map(Number);
  if (parts.length < 2 || parts.length > 3) return undefined;
  if (parts.some((part, index) => index > 0 && part >= 60)) return undefined;
  return parts.reduce((sum, part) => sum * 60 + part, 0);
}

/** Reads lines of a time and a title. Empty lines do not count; `duration` is the film's, 0 while unknown. */
export function parseChapters(text: string, duration: number): { chapters: Chapter[]; problem?: ChapterProblem } {
  const chapters: Chapter[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (!line.trim()) continue;
    const found = /^\s*(\d{1,3}(?::\d{1,2}){1,2})[\s–—-]+(.+?)\s*$/.exec(line);
    const startSeconds = found?.[1] === undefined ? undefined : secondsOf(found[1]);
    const title = [...(found?.[2] ?? '')].slice(0, TITLE_LENGTH_MAX).join('');
    const problem = (what: ChapterProblem['what']) => ({ chapters, problem: { line: index + 1, what } });
    if (startSeconds === undefined || !title) return problem('line');
    if (startSeconds <= (chapters.at(-1)?.startSeconds ?? -1)) return problem('order');
    if (duration > 0 && startSeconds >= duration) return problem('late');
    chapters.push({ startSeconds, title });
  }
  return { chapters };
}

/** The other way round. */
export function chaptersText(chapters: Chapter[]): string {
  return chapters.map((chapter) => `${clock(chapter.startSeconds)} ${chapter.title}`).join('\n');
}
