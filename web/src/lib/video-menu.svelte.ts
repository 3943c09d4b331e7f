import type { VideoCard } from '$/api/types';

/** What a card wants its menu to offer beyond the usual. */
export interface VideoMenuOptions {
  /** 'Not interested': takes it out of the list. */
  onhide?: () => void;
  /** 'Remove from …': what it says and does. */
  remove?: { label: string; run: () => void };
}

interface Opened extends VideoMenuOptions {
  video: VideoCard;
  anchor: HTMLElement;
}

/**
 * The menu of a film in a list. There is one for all cards, in the layout, and its code comes when it is first
 * opened: a wall of fifty films carries fifty buttons, not fifty menus.
 */
class VideoMenu {
  opened = $state.raw<Opened>();

  open(video: VideoCard, anchor: HTMLElement, options: VideoMenuOptions = {}): void {
    this.opened = { video, anchor, ...options };
  }

  close(): void {
    this.opened = undefined;
  }
}

export const videoMenu = new VideoMenu();
