import { site } from './instance.svelte';

/** Names the page in the tab. Without a title it is the site's own page. */
export function setTitle(title?: string): void {
  document.title = title ? `${title} · ${site.data.name}` : site.data.name;
}
