import { recall, remember } from '$/lib/storage';
import type { Details } from './details';

/** What is kept of an upload on this device, so that a reload does not lose it. */
export interface UploadRecord {
  id: string;
  /** Whose it is: somebody else may sign in here. */
  user: string;
  name: string;
  size: number;
  lastModified: number;
  details: Details;
  /** What the server knows of the details; absent before the creation. */
  sent?: Details;
  /** Where the server takes the bytes. */
  url?: string;
  videoId?: string;
  /** Bytes that the server has. */
  offset: number;
  /** All bytes are there. */
  sentAll: boolean;
  paused: boolean;
}

/** Also read by the layout, to know whether there is anything to go on with. */
export const RECORDS_KEY = 'uploads';

export function loadRecords(): UploadRecord[] {
  const records = recall<UploadRecord[]>(RECORDS_KEY);
  return Array.isArray(records) ? records : [];
}

/** Keeps these for this user, and what other users and other tabs have. */
export function saveRecords(user: string, ours: UploadRecord[], gone: ReadonlySet<string>): void {
  const own = new Set(ours.map((record) => record.id));
  const others = loadRecords().filter(
    (record) => !own.has(record.id) && !(record.user === user && gone.has(record.id)),
  );
  const all = [...others, ...ours];
  remember(RECORDS_KEY, all.length > 0 ? all : undefined);
}

/** Whether a file that was chosen again is the one that was begun. */
export function isSameFile(record: UploadRecord, file: File): boolean {
  return file.size === record.size && file.name === record.name;
}
