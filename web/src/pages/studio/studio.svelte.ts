import { deleteVideo, listMyVideos, patchVideo } from '$/api/videos';
import type { OwnVideo, Privacy } from '$/api/types';
import { PagedList } from '$/lib/paging.svelte';

/** How many of the newest are asked for again while something is under way. */
const REFRESHED = 50;

export interface StudioFilter {
  state?: string;
  q?: string;
}

/** What came of doing something to many. */
export interface Outcome {
  done: number;
  failed: number;
  /** Of the last that failed. */
  error?: unknown;
}

/** One's own videos, as far as they are shown, and which of them are selected. */
export class StudioList {
  filter = $state.raw<StudioFilter>({});
  #selected = $state.raw<ReadonlySet<string>>(new Set());
  readonly list = new PagedList<OwnVideo>(
    (page) => listMyVideos({ state: this.filter.state, q: this.filter.q }, page),
    (video) => video.id,
    30,
  );

  get selected(): OwnVideo[] {
    return this.list.items.filter((video) => this.#selected.has(video.id));
  }

  get allSelected(): boolean {
    return this.list.items.length > 0 && this.list.items.every((video) => this.#selected.has(video.id));
  }

  /** Whether a row still changes by itself. */
  get moving(): boolean {
    return this.list.items.some((video) => video.state === 'processing' || video.progress !== undefined);
  }

  isSelected(id: string): boolean {
    return this.#selected.has(id);
  }

  select(id: string, on: boolean): void {
    const next = new Set(this.#selected);
    if (on) next.add(id);
    else next.delete(id);
    this.#selected = next;
  }

  selectAll(on: boolean): void {
    this.#selected = new Set(on ? this.list.items.map((video) => video.id) : []);
  }

  async show(filter: StudioFilter): Promise<void> {
    this.filter = filter;
    this.selectAll(false);
    await this.list.load();
  }

  /** Brings the rows up to date without moving any. */
  async refresh(): Promise<void> {
    const { items } = await listMyVideos({}, { limit: REFRESHED });
    const known = new Set(this.list.items.map((video) => video.id));
    for (const video of items) if (known.has(video.id)) this.list.replace(video);
  }

  async setPrivacy(videos: OwnVideo[], privacy: Privacy): Promise<Outcome> {
    return this.#each(videos, async (video) => {
      await patchVideo(video.id, { privacy });
      this.list.replace({ ...video, privacy });
    });
  }

  async remove(videos: OwnVideo[]): Promise<Outcome> {
    return this.#each(videos, async (video) => {
      await deleteVideo(video.id);
      this.select(video.id, false);
      this.list.remove(video.id);
    });
  }

  /** One after the other: the server has others to serve too. */
  async #each(videos: OwnVideo[], run: (video: OwnVideo) => Promise<void>): Promise<Outcome> {
    const outcome: Outcome = { done: 0, failed: 0 };
    for (const video of videos) {
      try {
        await run(video);
        outcome.done += 1;
      } catch (error) {
        outcome.failed += 1;
        outcome.error = error;
      }
    }
    return outcome;
  }
}
