/** What a key asks of the player. */
export type Action =
  | { kind: 'toggle' | 'mute' | 'captions' | 'fullscreen' | 'theatre' | 'pip' | 'help' }
  | { kind: 'seek'; by: number }
  | { kind: 'tenth'; tenth: number }
  | { kind: 'frame'; by: 1 | -1 }
  | { kind: 'speed'; by: 1 | -1 }
  | { kind: 'volume'; by: number };

const KEYS: Record<string, Action> = {
  k: { kind: 'toggle' },
  ' ': { kind: 'toggle' },
  j: { kind: 'seek', by: -10 },
  l: { kind: 'seek', by: 10 },
  ArrowLeft: { kind: 'seek', by: -5 },
  ArrowRight: { kind: 'seek', by: 5 },
  ArrowUp: { kind: 'volume', by: 0.05 },
  ArrowDown: { kind: 'volume', by: -0.05 },
  ',': { kind: 'frame', by: -1 },
  '.': { kind: 'frame', by: 1 },
  '<': { kind: 'speed', by: -1 },
  '>': { kind: 'speed', by: 1 },
  m: { kind: 'mute' },
  c: { kind: 'captions' },
  f: { kind: 'fullscreen' },
  t: { kind: 'theatre' },
  i: { kind: 'pip' },
  '?': { kind: 'help' },
};

interface Press {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  target: EventTarget | null;
}

/** Elements that need keys for themselves. */
const TYPING = 'input:not([type=range]), textarea, select, [contenteditable]';
const PRESSED = 'a, button, [role=menuitem], [role=menuitemradio], [role=tab]';

const SIDEWAYS = new Set(['ArrowLeft', 'ArrowRight']);

/** The page as a whole has the keys; after going to another page, its main part. */
function nothingFocused(target: Element | undefined): boolean {
  return target === undefined || target.matches('body, main');
}

/** What a key press asks for; `inPlayer` says whether the player has the focus, which gives it the arrows too. */
export function actionOf(event: Press, inPlayer: boolean): Action | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const target = event.target instanceof Element ? event.target : undefined;
  if (target?.closest(`${TYPING}, [role=menu], dialog`)) return undefined;
  if (event.key === ' ' && target?.closest(PRESSED)) return undefined;
  // Outside of the player, up and down scroll the page, and arrows move through what has the focus.
  if (event.key.startsWith('Arrow') && !inPlayer && !(SIDEWAYS.has(event.key) && nothingFocused(target)))
    return undefined;
  if (/^[0-9]$/.test(event.key)) return { kind: 'tenth', tenth: Number(event.key) };
  return KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
}
