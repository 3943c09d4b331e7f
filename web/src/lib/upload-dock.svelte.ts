import { recall } from './storage';

/**
 * Whether the upload dock is wanted: an upload was begun here, or is left from the last visit. Stands apart from
 * the queue so that a visit without uploads does not fetch it.
 */
class UploadDock {
  wanted = $state(recall('uploads') !== undefined);
}

export const uploadDock = new UploadDock();
