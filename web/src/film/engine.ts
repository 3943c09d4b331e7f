/*
 * Where the film's bytes come from: hls.js wherever it runs, else the browser's own HLS (Chrome's answers
 * "maybe" and then fails on some films), else the plain file.
 */
import type Hls from 'hls.js';
import type { Video } from '$/api/types';

export type Failure = 'network' | 'decode' | 'missing';

/** One rendition that can be chosen. */
export interface Quality {
  height: number;
  level: number;
}

export interface Engine {
  /** Plays this level from the next segment on. */
  choose: (level: number) => void;
  retry: () => void;
  destroy: () => void;
}

interface Callbacks {
  onqualities: (qualities: Quality[]) => void;
  onplaying: (height: number) => void;
  onfailure: (failure: Failure) => void;
}

/** The level that means: choose by the connection. */
export const AUTO = -1;

const SETTINGS = {
  // A first guess that lets a good connection begin with a good picture.
  abrEwmaDefaultEstimate: 4_000_000,
  maxBufferLength: 30,
  maxMaxBufferLength: 120,
  backBufferLength: 60,
  capLevelToPlayerSize: true,
  enableWorker: false,
};

/** How often a decoder that stumbled is set up again before one is told. */
const RECOVERIES_MAX = 2;

/** Starts loading; playing is up to the element. */
export async function start(film: HTMLVideoElement, video: Video, callbacks: Callbacks): Promise<Engine> {
  const playback = video.playback;
  if (!playback) throw new Error('nothing to play yet');
  if ('MediaSource' in window || 'ManagedMediaSource' in window) {
    const { default: Library } = await import('hls.js/light');
    if (Library.isSupported()) return withLibrary(Library, film, playback.hls, callbacks);
  }
  const native = film.canPlayType('application/vnd.apple.mpegurl') !== '';
  return plain(film, native ? playback.hls : (playback.files.at(-1)?.url ?? playback.hls), callbacks);
}

function withLibrary(Library: typeof Hls, film: HTMLVideoElement, url: string, callbacks: Callbacks): Engine {
  const hls = new Library(SETTINGS);
  let recoveries = 0;
  hls.on(Library.Events.MANIFEST_PARSED, () => {
    callbacks.onqualities(
      hls.levels.map((level, index) => ({ height: Math.min(level.width, level.height), level: index })),
    );
  });
  hls.on(Library.Events.LEVEL_SWITCHED, (_, { level }) => {
    const now = hls.levels[level];
    if (now) callbacks.onplaying(Math.min(now.width, now.height));
  });
  hls.on(Library.Events.ERROR, (_, error) => {
    if (!error.fatal) return;
    const decode = error.type === Library.ErrorTypes.MEDIA_ERROR;
    if (decode && recoveries < RECOVERIES_MAX) {
      recoveries += 1;
      hls.recoverMediaError();
      return;
    }
    const missing = error.response?.code === 404 || error.response?.code === 410;
    callbacks.onfailure(decode ? 'decode' : missing ? 'missing' : 'network');
  });
  hls.loadSource(url);
  hls.attachMedia(film);
  return {
    choose: (level) => (hls.nextLevel = level),
    destroy: () => hls.destroy(),
    retry: () => {
      recoveries = 0;
      if (hls.levels.length === 0) hls.loadSource(url);
      hls.startLoad(film.currentTime);
    },
  };
}

function plain(film: HTMLVideoElement, url: string, callbacks: Callbacks): Engine {
  const failed = (): void => {
    if (film.error) callbacks.onfailure(film.error.code === MediaError.MEDIA_ERR_NETWORK ? 'network' : 'decode');
  };
  film.addEventListener('error', failed);
  film.src = url;
  return {
    choose: () => undefined,
    destroy: () => {
      film.removeEventListener('error', failed);
      film.removeAttribute('src');
      film.load();
    },
    retry: () => {
      const at = film.currentTime;
      film.load();
      film.currentTime = at;
    },
  };
}
