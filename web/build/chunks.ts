/** The part of the bundler's module information that is needed here. */
interface Graph {
  getModuleInfo(id: string): { isEntry: boolean; importers: readonly string[] } | null;
}

/** Svelte's module for attributes imports this, but what needs it is shaken out of the main file. */
const SHAKEN_OUT = /\/bindings\/select\.js$/;

/**
 * One file for all that the entry needs at once, instead of dozens of tiny ones that pages happen to share
 * with it; everything else is split as the bundler sees fit.
 */
export function mainChunk(id: string, graph: Graph): string | null {
  if (SHAKEN_OUT.test(id)) return null;
  const seen = new Set<string>();
  const waiting = [id];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const info = graph.getModuleInfo(next);
    if (info?.isEntry) return 'main';
    waiting.push(...(info?.importers ?? []));
  }
  return null;
}
