import type { Component } from 'svelte';

/** What a page is given: the parts of the path that its pattern names. */
export interface PageProps {
  params: Record<string, string>;
}

/** One page of the app. */
export interface PageEntry {
  /** `/watch/:id`; a leading `@` of a segment is part of it: `/@:handle`. */
  pattern: string;
  /** Fetches the page's code. */
  load: () => Promise<{ default: Component<PageProps> | Component<Record<string, never>> }>;
  /** Whether one has to be signed in: otherwise the log-in page comes first. */
  signedIn?: boolean;
  /** `film` leaves out the side bar, `bare` every navigation. */
  layout?: 'normal' | 'film' | 'bare';
  /** It says nothing beyond the core catalogue. */
  coreWords?: boolean;
}

/** A path that matches a pattern yields its named parts, another `undefined`. */
export function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = trimmed(path).split('/');
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, segment] of wanted.entries()) {
    const actual = given[index] ?? '';
    const colon = segment.indexOf(':');
    if (colon < 0) {
      if (segment !== actual) return undefined;
      continue;
    }
    const prefix = segment.slice(0, colon);
    if (!actual.startsWith(prefix) || actual.length === prefix.length) return undefined;
    const value = decoded(actual.slice(prefix.length));
    if (value === undefined) return undefined;
    params[segment.slice(colon + 1)] = value;
  }
  return params;
}

function trimmed(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Paths of the same origin that the server answers itself. */
const SERVER_PATHS = /^\/(?:api|media|embed|oembed|metrics|\.well-known)(?:\/|$)|\.(?:xml|txt|rss|m3u)$/;

class Router {
  #url = $state.raw(new URL('http://localhost/'));
  /** Counts navigations: what reacts to each of them reads it. */
  #visits = $state(0);
  #positions = new Map<string, number>();
  #key = '';
  /** Where to scroll once the page shows; `undefined` leaves it. */
  scrollTo: number | undefined;

  get url(): URL {
    return this.#url;
  }

  get path(): string {
    return trimmed(this.#url.pathname);
  }

  get query(): URLSearchParams {
    return this.#url.searchParams;
  }

  get visits(): number {
    return this.#visits;
  }

  /** Takes over links and the back button. Call once. */
  start(): void {
    history.scrollRestoration = 'manual';
    this.#url = new URL(location.href);
    this.#key = keyOf(history.state) ?? freshKey();
    history.replaceState({ key: this.#key }, '');
    addEventListener('popstate', (event) => {
      this.#positions.set(this.#key, scrollY);
      this.#key = keyOf(event.state) ?? freshKey();
      this.#arrive(this.#positions.get(this.#key) ?? 0);
    });
    document.addEventListener('click', (event) => this.#click(event));
  }

  /** Goes to a path of the app. `replace` leaves no trace in the history. */
  go(to: string, options: { replace?: boolean; keepScroll?: boolean } = {}): void {
    const url = new URL(to, location.href);
    if (url.origin !== location.origin || SERVER_PATHS.test(url.pathname)) {
      location.assign(url);
      return;
    }
    this.#positions.set(this.#key, scrollY);
    if (options.replace) {
      history.replaceState({ key: this.#key }, '', url);
    } else {
      this.#key = freshKey();
      history.pushState({ key: this.#key }, '', url);
    }
    this.#arrive(options.keepScroll ? undefined : 0);
  }

  /** Changes parts of the query of this page; `undefined` or '' takes one away. */
  setQuery(changes: Record<string, string | undefined>, options: { replace?: boolean } = {}): void {
    const url = new URL(this.#url);
    for (const [name, value] of Object.entries(changes)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    this.go(url.pathname + url.search, { ...options, keepScroll: true });
  }

  #arrive(scroll: number | undefined): void {
    this.scrollTo = scroll;
    this.#url = new URL(location.href);
    this.#visits += 1;
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link?.href || link.target || link.hasAttribute('download')) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || SERVER_PATHS.test(url.pathname)) return;
    if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
    event.preventDefault();
    this.go(url.href);
  }
}

function keyOf(state: unknown): string | undefined {
  return typeof state === 'object' && state !== null && 'key' in state && typeof state.key === 'string'
    ? state.key
    : undefined;
}

function freshKey(): string {
  return Math.random().toString(36).slice(2);
}

export const router = new Router();
