import { t } from '$/i18n/index.svelte';
import { router } from './router.svelte';
import { toasts } from './toast.svelte';

/** The log-in page that leads back here. */
export function loginPath(): string {
  const { pathname, search } = router.url;
  const here = pathname === '/login' || pathname === '/register' ? '/' : pathname + search;
  return here === '/' ? '/login' : `/login?next=${encodeURIComponent(here)}`;
}

/** Where to go after signing in: only ever a path of this site. */
export function nextPath(next: string | null): string {
  if (!next?.startsWith('/')) return '/';
  const url = new URL(next, location.origin);
  return url.origin === location.origin ? url.pathname + url.search + url.hash : '/';
}

/** A guest wanted something that needs an account: says so, and offers the way, without taking the page away. */
export function askToSignIn(): void {
  toasts.show(t('auth.needed'), { action: { label: t('auth.login'), run: () => router.go(loginPath()) } });
}
