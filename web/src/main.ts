import { mount } from 'svelte';
import App from './App.svelte';
import { words } from './i18n/index.svelte';
import { site } from './lib/instance.svelte';
import { match, router } from './lib/router.svelte';
import { session } from './lib/session.svelte';
import { PAGES } from './pages';
import './styles/index.css';

/** Not at the top level: pages import from this file, and would wait for it while it waits for them. */
async function start(target: HTMLElement): Promise<void> {
  await words.start();
  // What the server put there for the first paint stays until the page can take its place.
  if (target.childElementCount > 0) await page().catch(() => undefined);
  target.replaceChildren();
  mount(App, { target });
}

/** The code and the words of the page that is asked for; a failure to fetch them is shown by the app. */
async function page(): Promise<void> {
  const entry = PAGES.find(({ pattern }) => match(pattern, router.path));
  await Promise.all([entry?.load(), words.needPages()]);
}

const target = document.getElementById('app');
if (!target) throw new Error('the page has no #app');

router.start();
session.start();
void site.start();
void start(target);
