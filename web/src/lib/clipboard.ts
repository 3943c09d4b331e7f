import { t } from '$/i18n/index.svelte';
import { toasts } from './toast.svelte';

/** Copies the full address of a path, and says so. */
export async function copyLink(path: string): Promise<void> {
  await copyText(new URL(path, location.href).href, t('common.linkCopied'));
}

export async function copyText(text: string, said: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toasts.show(said);
  } catch {
    // No clipboard over plain http: the address is shown, to be copied by hand.
    toasts.show(text);
  }
}
