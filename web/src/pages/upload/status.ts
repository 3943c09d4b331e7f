import { fileSize, t, timeSpan } from '$/i18n/index.svelte';
import { explain } from '$/lib/errors';
import type { UploadItem } from '$/upload/item.svelte';

/** A shorter wait is over before it is read. */
const WORTH_SAYING_S = 5;

/** Where an upload is, in one sentence. */
export function statusText(item: UploadItem, online: boolean): string {
  switch (item.status) {
    case 'waiting':
      return t('upload.waiting');
    case 'uploading':
      return item.bytes > 0 ? progressText(item) : t('upload.starting');
    case 'paused':
      return `${t('upload.paused')} · ${sentText(item)}`;
    case 'retrying':
      return t(online ? 'upload.retrying' : 'upload.offline');
    case 'file-needed':
      return t('upload.fileNeeded');
    case 'failed':
      return item.error ? explain(item.error) : t('upload.failed');
    case 'processing':
      return t('upload.processing');
    case 'playable':
      return item.processingLeft === undefined || item.processingLeft < WORTH_SAYING_S
        ? t('upload.playable')
        : t('upload.playableLeft', { time: timeSpan(item.processingLeft) });
    case 'done':
      return t('upload.done');
    case 'unplayable':
      return item.processing?.jobs.find((job) => job.error)?.error ?? t('upload.unplayable');
  }
}

function sentText(item: UploadItem): string {
  return t('upload.sent', { sent: fileSize(item.bytes), total: fileSize(item.size) });
}

function progressText(item: UploadItem): string {
  const parts = [sentText(item)];
  if (item.speed !== undefined) parts.push(t('upload.rate', { rate: fileSize(item.speed) }));
  if (item.secondsLeft !== undefined) parts.push(t('upload.left', { time: timeSpan(item.secondsLeft) }));
  return parts.join(' · ');
}

/** The title as it is called in sentences: never empty. */
export function nameOf(item: UploadItem): string {
  return item.details.title.trim() || item.name;
}
