import { getPlaylist, listItems } from '$/api/channels';
import type { Playlist, PlaylistItem } from '$/api/types';

/** Items that are fetched at once. */
const PAGE_SIZE = 100;
/** Longer lists go on in the playlist's own page. */
const PAGES_MOST = 5;

/** The playlist that a film is watched in: what comes before and after it. */
export class WatchedList {
  playlist = $state.raw<Playlist>();
  items = $state.raw<PlaylistItem[]>([]);
  failed = $state.raw<unknown>();

  constructor(readonly id: string) {}

  async load(): Promise<void> {
    this.failed = undefined;
    try {
      this.playlist = await getPlaylist(this.id);
      let pageToken: string | undefined;
      const items: PlaylistItem[] = [];
      for (let page = 0; page < PAGES_MOST && (page === 0 || pageToken); page += 1) {
        const answer = await listItems(this.id, { limit: PAGE_SIZE, pageToken });
        items.push(...answer.items);
        pageToken = answer.nextPageToken;
      }
      this.items = items;
    } catch (error) {
      this.failed = error;
    }
  }

  /** The place of a film; `item` tells apart one that stands twice. -1 when it is not in the list. */
  placeOf(videoId: string, item: string | null): number {
    const exact = this.items.findIndex((one) => one.id === item && one.video?.id === videoId);
    return exact >= 0 ? exact : this.items.findIndex((one) => one.video?.id === videoId);
  }

  /** The address of the next film that can be watched. */
  after(place: number): string | undefined {
    const next = this.items.slice(place + 1).find((item) => item.video?.state === 'published');
    return next && this.hrefOf(next);
  }

  hrefOf(item: PlaylistItem): string {
    const start = item.startSeconds ? `&t=${Math.floor(item.startSeconds)}` : '';
    return `/watch/${item.video?.id}?list=${this.id}&item=${item.id}${start}`;
  }
}
