import type { Highlight } from '$/api/types';

/** Cuts a passage at the ranges that were found. Ranges count Unicode characters, not UTF-16 units. */
export function marked(highlight: Highlight): { text: string; found: boolean }[] {
  const characters = [...highlight.text];
  const parts: { text: string; found: boolean }[] = [];
  let end = 0;
  const push = (from: number, to: number, found: boolean): void => {
    if (to > from) parts.push({ text: characters.slice(from, to).join(''), found });
  };
  for (const [from, to] of [...highlight.ranges].sort((a, b) => a[0] - b[0])) {
    const start = Math.max(from, end);
    push(end, start, false);
    push(start, to, true);
    end = Math.max(end, to);
  }
  push(end, characters.length, false);
  return parts;
}
