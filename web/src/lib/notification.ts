import type { Notification } from '$/api/types';
import { t } from '$/i18n/index.svelte';

/** What a notification says, in one sentence. */
export function notificationText(notification: Notification): string {
  const { count, kind, channel = '', text = '' } = notification;
  const name = notification.actor?.displayName ?? t('person.someone');
  const title = notification.videoTitle ?? t('video.untitled');
  switch (kind) {
    case 'new-video':
      return t('notification.newVideo', { channel, title });
    case 'comment':
      return t('notification.comment', { name, title });
    case 'reply':
      return t('notification.reply', { name });
    case 'mention':
      return t('notification.mention', { name });
    case 'like':
      return count > 1
        ? t('notification.likes', { name, count: count - 1, title })
        : t('notification.like', { name, title });
    case 'subscriber':
      return t('notification.subscriber', { name, channel });
    case 'processing-done':
      return t('notification.processingDone', { title });
    case 'processing-failed':
      return t('notification.processingFailed', { title });
    case 'registration':
      return t('notification.registration', { name });
    case 'report':
      return t('notification.report');
    case 'moderation':
      return text || t('notification.moderation');
  }
}

/** Where it leads. */
export function notificationPath(notification: Notification): string {
  const { kind, videoId, commentId, channel } = notification;
  if (kind === 'processing-failed') return '/my/videos';
  if (videoId) return commentId ? `/watch/${videoId}?comment=${commentId}` : `/watch/${videoId}`;
  return channel ? `/@${channel}` : '/notifications';
}
