import { addItem, deleteItem, listMyPlaylists } from '$/api/channels';
import type { Playlist } from '$/api/types';
import { t } from '$/i18n/index.svelte';
import { explain } from './errors';
import type { Savable } from './saver.svelte';
import { session } from './session.svelte';
import { toasts } from './toast.svelte';

let later: { user: string; list: Promise<Playlist | undefined> } | undefined;

/** The playlist that everybody has. */
function watchLaterList(): Promise<Playlist | undefined> {
  const user = session.user?.id ?? '';
  if (later?.user !== user) {
    const list = listMyPlaylists({ limit: 100 }).then((page) => page.items.find((one) => one.kind === 'watch-later'));
    later = { user, list };
    list.catch(() => (later = undefined));
  }
  return later.list;
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
