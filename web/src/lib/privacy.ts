import type { Privacy } from '$/api/types';

/** What one can choose for a film; a password comes with a later version. */
export const PRIVACIES = ['public', 'unlisted', 'private', 'internal'] as const satisfies Privacy[];
