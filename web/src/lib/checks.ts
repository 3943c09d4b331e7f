import { t } from '$/i18n/index.svelte';

const NAME = /^[a-z0-9][a-z0-9_.-]{1,29}$/;

/** What is wrong with a username, in words; nothing while it is empty. */
export function checkUsername(value: string): string | undefined {
  return !value || NAME.test(value) ? undefined : t('auth.usernameBad');
}

export function checkHandle(value: string): string | undefined {
  return !value || NAME.test(value) ? undefined : t('channel.handleBad');
}

export function checkEmail(value: string): string | undefined {
  return !value || /^[^\s@]+@[^\s@]+$/.test(value) ? undefined : t('auth.emailBad');
}

/** A handle made of a name: 'Anna’s Filme' → 'annas-filme' */
export function handleOf(name: string): string {
  return name
    .toLowerCase()
    .replaceAll('ä', 'ae')
    .replaceAll('ö', 'oe')
    .replaceAll('ü', 'ue')
    .replaceAll('ß', 'ss')
    .normalize('NFKD')
    .replace(/[\u0300-\u036f'’]/g, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 30);
}
