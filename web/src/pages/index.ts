import { words } from '$/i18n/index.svelte';
import type { PageEntry } from '$/lib/router.svelte';

/** A page about one's own things, with the words that only those need. */
function own(pattern: string, load: PageEntry['load']): PageEntry {
  return { pattern, load: async () => (await Promise.all([load(), words.needStudio()]))[0], signedIn: true };
}

/** Every page of the app. The first pattern that matches wins; what matches none is not found. */
export const PAGES: PageEntry[] = [
  { pattern: '/', load: () => import('./Home.svelte'), coreWords: true },
  { pattern: '/watch/:id', load: () => import('./Watch.svelte'), layout: 'film' },
  { pattern: '/embed/:id', load: () => import('./Embed.svelte'), layout: 'bare' },
  { pattern: '/search', load: () => import('./Search.svelte') },
  { pattern: '/feed', load: () => import('./Feed.svelte'), signedIn: true },

  { pattern: '/setup', load: () => import('./Setup.svelte'), layout: 'bare' },
  { pattern: '/register', load: () => import('./Register.svelte'), layout: 'bare' },
  { pattern: '/login', load: () => import('./Login.svelte'), layout: 'bare' },

  own('/upload', () => import('./Upload.svelte')),
  own('/my/videos', () => import('./Studio.svelte')),
  own('/my/videos/:id', () => import('./StudioEdit.svelte')),
  own('/history', () => import('./History.svelte')),
  own('/playlists', () => import('./Playlists.svelte')),
  { ...own('/playlists/:id', () => import('./Playlist.svelte')), signedIn: false },
  own('/watch-later', () => import('./WatchLater.svelte')),
  own('/notifications', () => import('./Notifications.svelte')),
  own('/settings', () => import('./Settings.svelte')),
  own('/channels/new', () => import('./ChannelNew.svelte')),
  own('/@:handle/edit', () => import('./ChannelEdit.svelte')),
  { pattern: '/@:handle', load: () => import('./Channel.svelte') },
  { pattern: '/c/:handle', load: () => import('./Channel.svelte') },

  { pattern: '/about', load: () => import('./About.svelte') },
];

/** For every other path. */
export const NOT_FOUND: PageEntry = { pattern: '', load: () => import('./NotFound.svelte'), coreWords: true };
