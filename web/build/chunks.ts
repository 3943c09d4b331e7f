/** The part of the bundler's module information that is needed here. */
interface Graph {
  getModuleInfo(id: string): {
    isEntry: boolean;
    importers: readonly string[];
    dynamicImporters: readonly string[];
  } | null;
}

/** Svelte's module for attributes imports this, but what needs it is shaken out of the main file. */
const SHAKEN_OUT = /\/bindings\/select\.js$/;
const HOME = /\/pages\/Home\.svelte$/;
const WATCH = /\/pages\/Watch\.svelte$/;
const FILM = /\/pages\/(?:Watch|Embed)\.svelte$/;

/**
 * A few files instead of dozens of tiny ones, each of which costs a request: `main` is all that the entry needs,
 * `cards` what the home page needs beyond it, `film` what only films need, and `kit` what they share with other
 * pages. Everything else is split as the bundler sees fit.
 */
function chunkOf(id: string, graph: Graph): string | null {
  if (SHAKEN_OUT.test(id)) return null;
  const roots = rootsOf(id, graph);
  if (roots.has('entry')) return 'main';
  const pages = [...roots];
  if (pages.some((page) => HOME.test(page))) return 'cards';
  if (!pages.some((page) => WATCH.test(page))) return null;
  return pages.every((page) => FILM.test(page)) ? 'film' : 'kit';
}

/** The modules that are fetched by themselves and need this one at once. */
function rootsOf(id: string, graph: Graph): Set<string> {
  const roots = new Set<string>();
  const seen = new Set<string>();
  const waiting = [id];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const info = graph.getModuleInfo(next);
    if (info?.isEntry) roots.add('entry');
    if (info && info.dynamicImporters.length > 0) roots.add(next);
    waiting.push(...(info?.importers ?? []));
  }
  return roots;
}

/** A group takes along what its modules import: those that others need come first. */
export const sharedChunks = ['main', 'cards', 'kit', 'film'].map((chunk, index) => ({
  name: (id: string, graph: Graph) => (chunkOf(id, graph) === chunk ? chunk : null),
  debugName: chunk,
  priority: 10 - index,
}));
