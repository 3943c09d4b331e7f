import type { PageEntry } from '$/lib/router.svelte';

/** Every page of the app. The first pattern that matches wins; what matches none is not found. */
export const PAGES: PageEntry[] = [
  { pattern: '/', load: () => import('./Home.svelte'), coreWords: true },
  { pattern: '/search', load: () => import('./Search.svelte') },
  { pattern: '/feed', load: () => import('./Feed.svelte'), signedIn: true },

  { pattern: '/setup', load: () => import('./Setup.svelte'), layout: 'bare' },
  { pattern: '/register', load: () => import('./Register.svelte'), layout: 'bare' },
  { pattern: '/login', load: () => import('./Login.svelte'), layout: 'bare' },
  { pattern: '/about', load: () => import('./About.svelte') },
];

/** For every other path. */
export const NOT_FOUND: PageEntry = { pattern: '', load: () => import('./NotFound.svelte'), coreWords: true };
