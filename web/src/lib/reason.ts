import type { Reason, Recommendation, VideoCard } from '$/api/types';
import { t, type MessageKey } from '$/i18n/index.svelte';

const WITH_SUBJECT: Partial<Record<string, MessageKey>> = {
  'because-you-watched': 'reason.watched',
  'because-you-liked': 'reason.liked',
  subscribed: 'reason.subscribed',
  similar: 'reason.similar',
};
const PLAIN: Partial<Record<string, MessageKey>> = {
  'same-channel': 'reason.sameChannel',
  popular: 'reason.popular',
  new: 'reason.new',
};

/**
 * Why something is recommended, in the reader's language; the server's English where the kind is new to us.
 * `beside` is the film on whose page it stands.
 */
export function reasonText(reason: Reason, beside?: string): string {
  if (reason.kind === 'because-you-watched' && beside !== undefined && reason.videoId === beside) {
    return t('reason.alsoWatched');
  }
  const plain = PLAIN[reason.kind];
  if (plain) return t(plain);
  const key = WITH_SUBJECT[reason.kind];
  return key && reason.subject ? t(key, { subject: reason.subject }) : reason.text;
}

/** A row of the home page: films that are there for one reason, or the rest (`mixed`), each with its own. */
export interface ReasonRow {
  title: string;
  mixed: boolean;
  items: { video: VideoCard; reason: string }[];
}

/** Below this many films a reason gets no row of its own. */
const ROW_LEAST = 4;

/** Sorts recommendations into rows, in the order in which each reason first appears; the rest comes first. */
export function rowsByReason(recommendations: Recommendation[]): ReasonRow[] {
  const byReason = new Map<string, ReasonRow['items']>();
  for (const { video, reason } of recommendations) {
    const text = reasonText(reason);
    byReason.set(text, [...(byReason.get(text) ?? []), { video, reason: text }]);
  }
  const large = [...byReason].filter(([, items]) => items.length >= ROW_LEAST);
  const small = [...byReason.values()].filter((items) => items.length < ROW_LEAST).flat();
  const rest: ReasonRow[] = small.length > 0 ? [{ title: t('home.forYou'), mixed: true, items: small }] : [];
  return [...rest, ...large.map(([title, items]) => ({ title, mixed: false, items }))];
}
