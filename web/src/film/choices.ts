import { recall, remember } from '$/lib/storage';

/** What one chose in an earlier film, and wants in the next. */
export interface Choices {
  volume: number;
  muted: boolean;
  rate: number;
  /** The language of the captions; none when off. */
  captions?: string;
  /** The height of the picture; chosen by the connection when absent. */
  height?: number;
}

const KEY = 'player';
const DEFAULTS: Choices = { volume: 1, muted: false, rate: 1 };

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];

export function recallChoices(): Choices {
  const kept = recall<Partial<Choices>>(KEY) ?? {};
  const volume = kept.volume ?? DEFAULTS.volume;
  return {
    ...DEFAULTS,
    ...kept,
    volume: Number.isFinite(volume) ? Math.min(1, Math.max(0, volume)) : DEFAULTS.volume,
    rate: SPEEDS.includes(kept.rate ?? 1) ? (kept.rate ?? 1) : 1,
  };
}

export function rememberChoices(choices: Choices): void {
  remember(KEY, choices);
}
