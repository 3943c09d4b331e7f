import { mount } from 'svelte';
import App from './App.svelte';
import { words } from './i18n/index.svelte';
import { site } from './lib/instance.svelte';
import { router } from './lib/router.svelte';
import { session } from './lib/session.svelte';
import './styles/index.css';

const target = document.getElementById('app');
if (!target) throw new Error('the page has no #app');

router.start();
session.start();
void site.start();
await words.start();
// What the server put there for the first paint has done its work.
target.replaceChildren();
mount(App, { target });
