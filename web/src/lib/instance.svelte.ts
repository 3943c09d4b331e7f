import { getInstance } from '$/api/auth';
import type { Instance } from '$/api/types';
import { initialInstance } from './initial';

/** The server's default, which the style sheet has as its own coral. */
const DEFAULT_ACCENT = '#e5484d';

const UNKNOWN: Instance = {
  name: 'DjStream',
  description: '',
  accent: '',
  registration: 'closed',
  needsSetup: false,
  version: '',
  uploadMaxBytes: Number.POSITIVE_INFINITY,
  passwordLengthMin: 15,
};

/** The site itself: its name, its look, how people join. */
class Site {
  #data = $state.raw<Instance>(UNKNOWN);
  #known = $state(false);

  get data(): Instance {
    return this.#data;
  }

  /** False until the server has told. */
  get known(): boolean {
    return this.#known;
  }

  /** Takes what came with the page, else asks. Nothing waits for it. */
  async start(): Promise<void> {
    const initial = initialInstance();
    if (initial) this.#use(initial);
    else await this.reload();
  }

  async reload(): Promise<void> {
    try {
      this.#use(await getInstance());
    } catch {
      // The page works without; its name and colour stay the defaults.
    }
  }

  #use(data: Instance): void {
    this.#data = data;
    this.#known = true;
    if (data.accent && data.accent !== DEFAULT_ACCENT) void tint(data.accent);
  }
}

/** Only the hue is taken: lightness and chroma are ours, so that contrast holds. */
async function tint(accent: string): Promise<void> {
  const { hueOfColor } = await import('./hue');
  const hue = hueOfColor(accent);
  if (hue !== undefined) document.documentElement.style.setProperty('--accent-hue', String(hue));
}

export const site = new Site();
