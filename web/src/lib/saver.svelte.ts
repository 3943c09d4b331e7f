import { addItem, deleteItem, listMyPlaylists } from '$/api/channels';
import type { Playlist } from '$/api/types';
import { t } from '$/i18n/index.svelte';
import { explain } from './errors';
import { toasts } from './toast.svelte';

/** What is to be put into a playlist. */
export interface Savable {
  id: string;
  title: string;
}

/** Which film the 'save to playlist' dialog is about; the layout holds the one dialog. */
class Saver {
  video = $state.raw<Savable>();

  open(video: Savable): void {
    this.video = video;
  }

  close(): void {
    this.video = undefined;
  }
}

export const saver = new Saver();

let later: Promise<Playlist | undefined> | undefined;

/** The playlist that everybody has. */
function watchLaterList(): Promise<Playlist | undefined> {
  later ??= listMyPlaylists({ limit: 100 })
    .then((page) => page.items.find((list) => list.kind === 'watch-later'))
    .catch((error: unknown) => {
      later = undefined;
      throw error;
    });
  return later;
}

/** Forgets whose list it was: somebody else signs in. */
export function forgetWatchLater(): void {
  later = undefined;
}

/** Puts a film on 'Watch later', with the way to take it off again. */
export async function watchLater(video: Savable): Promise<void> {
  try {
    const list = await watchLaterList();
    if (!list) return;
    const item = await addItem(list.id, { videoId: video.id });
    toasts.show(t('video.savedLater'), {
      action: {
        label: t('common.undo'),
        run: () => void deleteItem(list.id, item.id).catch((error: unknown) => toasts.error(explain(error))),
      },
    });
  } catch (error) {
    toasts.error(explain(error));
  }
}
