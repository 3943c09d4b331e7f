/** Moving things in a list: pure, so that dragging and keys share it. */

/** A copy of the list with one item at another place; places beyond the ends mean the ends. */
export function moved<T>(items: readonly T[], from: number, to: number): T[] {
  const copy = [...items];
  if (from < 0 || from >= copy.length) return copy;
  const [item] = copy.splice(from, 1) as [T];
  copy.splice(Math.max(0, Math.min(copy.length, to)), 0, item);
  return copy;
}

/** Where an item stands, in pixels down the page. */
export interface Span {
  top: number;
  height: number;
}

/** The place that the item at `from` takes when it is let go at `y`: it passes others at their middle. */
export function placeAt(spans: readonly Span[], from: number, y: number): number {
  let place = 0;
  for (const [index, span] of spans.entries()) {
    if (index !== from && y > span.top + span.height / 2) place += 1;
  }
  return place;
}
