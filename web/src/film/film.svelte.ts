import type { Video } from '$/api/types';
import { recallChoices, rememberChoices, SPEEDS, type Choices } from './choices';
import { AUTO, start, type Engine, type Failure, type Quality } from './engine';
import { Heartbeat } from './heartbeat';

/** Buffering is shown only when it takes longer than this. */
const PATIENCE_MS = 300;

/** The film's state, as the controls show it. The view asks, the element answers, and state flows one way. */
export class Film {
  paused = $state(true);
  ended = $state(false);
  waiting = $state(false);
  time = $state(0);
  duration = $state(0);
  buffered = $state.raw<[number, number][]>([]);
  volume = $state(1);
  muted = $state(false);
  rate = $state(1);
  qualities = $state.raw<Quality[]>([]);
  /** The chosen height; `undefined` chooses by itself. */
  height = $state<number>();
  /** What is on the screen. */
  shownHeight = $state(0);
  captions = $state<string>();
  failure = $state<Failure>();
  /** The browser did not let it begin by itself. */
  blocked = $state(false);
  /** A first frame was there. */
  shown = $state(false);

  #element: HTMLVideoElement | undefined;
  #engine: Engine | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #heart: Heartbeat;
  #choices: Choices = recallChoices();
  #gone = false;

  constructor(readonly video: Video) {
    this.duration = video.duration;
    this.#heart = new Heartbeat(video.id, video.duration);
    const { volume, muted, rate, captions, height } = this.#choices;
    Object.assign(this, { volume, muted, rate, captions, height });
  }

  /** Takes the element and starts loading; gives what ends it. */
  attach(element: HTMLVideoElement, startAt: number, autoplay: boolean): () => void {
    this.#element = element;
    element.volume = this.volume;
    element.muted = this.muted;
    element.playbackRate = this.rate;
    const ends = listen(element, this.#events());
    if (startAt > 0 && startAt < this.video.duration - 2) {
      element.addEventListener('loadedmetadata', () => (element.currentTime = startAt), { once: true });
    }
    void this.#load(element, autoplay);
    return () => {
      this.#gone = true;
      clearTimeout(this.#patience);
      this.#heart.stopped(element.currentTime, Date.now());
      ends();
      this.#engine?.destroy();
    };
  }

  toggle(): void {
    if (this.#element?.paused) void this.play();
    else this.#element?.pause();
  }

  async play(): Promise<void> {
    try {
      await this.#element?.play();
      this.blocked = false;
    } catch (error) {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.blocked = true;
    }
  }

  pause(): void {
    this.#element?.pause();
  }

  seek(seconds: number): void {
    if (!this.#element) return;
    const end = this.duration || this.video.duration;
    this.time = this.#element.currentTime = Math.min(Math.max(0, seconds), end);
  }

  seekBy(seconds: number): void {
    this.seek((this.#element?.currentTime ?? 0) + seconds);
  }

  /** A step of one frame, for somebody who paused to look. */
  frame(by: 1 | -1): void {
    this.pause();
    const fps = this.video.renditions.at(-1)?.fps ?? 25;
    this.seekBy(by / Math.max(1, fps));
  }

  setVolume(volume: number): void {
    if (!this.#element) return;
    this.#element.volume = Math.min(1, Math.max(0, volume));
    this.#element.muted = volume <= 0;
  }

  toggleMute(): void {
    if (this.#element) this.#element.muted = !this.#element.muted;
  }

  setRate(rate: number): void {
    if (this.#element) this.#element.playbackRate = rate;
  }

  stepRate(by: 1 | -1): void {
    const at = SPEEDS.indexOf(this.rate);
    this.setRate(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))] ?? 1);
  }

  choose(height: number | undefined): void {
    this.height = height;
    this.#engine?.choose(this.#levelOf(height));
    this.#keep({ height });
  }

  showCaptions(language: string | undefined): void {
    this.captions = language;
    this.applyCaptions();
    this.#keep({ captions: language });
  }

  /** Tracks are there only after they were rendered. */
  applyCaptions(): void {
    for (const track of this.#element?.textTracks ?? []) {
      track.mode = track.language === this.captions ? 'showing' : 'disabled';
    }
  }

  retry(): void {
    this.failure = undefined;
    this.#engine?.retry();
    void this.play();
  }

  /** One step down, for a connection or a device that cannot cope. */
  lower(): void {
    const below = this.qualities.filter(({ height }) => height < (this.shownHeight || Number.POSITIVE_INFINITY));
    const next = below.at(-1) ?? this.qualities[0];
    if (next) this.choose(next.height);
    this.retry();
  }

  async #load(element: HTMLVideoElement, autoplay: boolean): Promise<void> {
    try {
      const engine = await start(element, this.video, {
        onqualities: (qualities) => {
          this.qualities = qualities.toSorted((a, b) => a.height - b.height);
          if (this.height !== undefined) this.#engine?.choose(this.#levelOf(this.height));
        },
        onplaying: (height) => (this.shownHeight = height),
        onfailure: (failure) => {
          this.failure = failure;
          this.#wait(false);
        },
      });
      if (this.#gone) return engine.destroy();
      this.#engine = engine;
    } catch {
      this.failure = 'network';
      return;
    }
    if (autoplay) await this.play();
  }

  #levelOf(height: number | undefined): number {
    return this.qualities.find((quality) => quality.height === height)?.level ?? AUTO;
  }

  #keep(change: Partial<Choices>): void {
    this.#choices = { ...this.#choices, ...change };
    rememberChoices(this.#choices);
  }

  #wait(waiting: boolean): void {
    clearTimeout(this.#patience);
    if (waiting) this.#patience = setTimeout(() => (this.waiting = true), PATIENCE_MS);
    else this.waiting = false;
  }

  #events(): Partial<Record<keyof HTMLMediaElementEventMap, (film: HTMLVideoElement) => void>> {
    return {
      play: () => {
        this.paused = this.ended = false;
      },
      pause: (film) => {
        this.paused = true;
        this.#wait(false);
        this.#heart.stopped(film.currentTime, Date.now());
      },
      playing: () => {
        this.shown = true;
        this.blocked = false;
        this.#wait(false);
      },
      waiting: () => this.#wait(true),
      canplay: () => this.#wait(false),
      loadeddata: () => (this.shown = true),
      seeking: (film) => {
        this.ended = false;
        this.#heart.stopped(film.currentTime, Date.now());
      },
      ended: () => (this.ended = true),
      timeupdate: (film) => {
        this.time = film.currentTime;
        if (!film.paused) this.#heart.playing(film.currentTime, Date.now());
      },
      durationchange: (film) => {
        if (Number.isFinite(film.duration)) this.duration = film.duration;
      },
      progress: (film) => {
        const { buffered } = film;
        this.buffered = Array.from({ length: buffered.length }, (_, at) => [buffered.start(at), buffered.end(at)]);
      },
      volumechange: (film) => {
        this.volume = film.volume;
        this.muted = film.muted;
        this.#keep({ volume: film.volume, muted: film.muted });
      },
      ratechange: (film) => {
        this.rate = film.playbackRate;
        this.#keep({ rate: film.playbackRate });
      },
    };
  }
}

function listen(
  element: HTMLVideoElement,
  events: Partial<Record<keyof HTMLMediaElementEventMap, (film: HTMLVideoElement) => void>>,
): () => void {
  const ends = Object.entries(events).map(([name, heard]) => {
    const handler = (): void => heard(element);
    element.addEventListener(name, handler);
    return () => element.removeEventListener(name, handler);
  });
  return () => ends.forEach((end) => end());
}
