import { t } from '$/i18n/index.svelte';
import { browserFiles } from './files';
import { UploadQueue } from './queue.svelte';

const held = new Set<string>();

/** Held until the tab is closed; a browser without locks has no other tabs to be afraid of. */
function hold(name: string): Promise<boolean> {
  if (!('locks' in navigator) || held.has(name)) return Promise.resolve(true);
  return new Promise((resolve) => {
    void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      if (!lock) return undefined;
      held.add(name);
      return new Promise(() => undefined);
    });
  });
}

/** The one queue of this tab. */
export const uploads = new UploadQueue({
  transfer: async () => (await import('./transfer')).startTransfer,
  files: browserFiles,
  hold,
  now: () => performance.now(),
  untitled: () => t('video.untitled'),
});
