import { ApiError } from '$/api/client';
import { t, type MessageKey } from '$/i18n/index.svelte';

/** Codes that the app says in the reader's language; for the rest the server's own words are shown. */
const KNOWN: Record<string, MessageKey> = {
  network: 'error.network',
  'not-found': 'error.notFound',
  'not-signed-in': 'error.notSignedIn',
  'login-failed': 'error.loginFailed',
  'rate-limited': 'error.rateLimited',
  overloaded: 'error.restarting',
  'service-unavailable': 'error.restarting',
  'disk-full': 'error.diskFull',
  'quota-exceeded': 'error.quota',
  internal: 'error.internal',
  'username-taken': 'error.usernameTaken',
  'email-taken': 'error.emailTaken',
  'handle-taken': 'error.handleTaken',
  'password-too-weak': 'error.passwordTooWeak',
  'approval-pending': 'error.approvalPending',
  'setup-token-invalid': 'error.setupToken',
  'registration-closed': 'error.registrationClosed',
  'comments-closed': 'error.commentsClosed',
  'channel-not-empty': 'error.channelNotEmpty',
};

/** What went wrong, in a sentence for people. */
export function explain(error: unknown): string {
  if (error instanceof ApiError) {
    const key = KNOWN[error.code];
    return key ? t(key) : error.message || t('error.unknown');
  }
  return t('error.unknown');
}
