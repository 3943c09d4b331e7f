/** The files themselves, kept by the browser so that an upload goes on by itself after a reload. */

const DATABASE = 'djstream-uploads';
const STORE = 'files';
/** Larger ones are asked for again: copying them would cost more than choosing them. */
const FILE_BYTES_MAX = 4_000_000_000;
/** How much of the room that the browser offers is used at most. */
const SHARE_MAX = 0.5;

export interface FileStore {
  /** Whether it is kept now. */
  put(id: string, file: File): Promise<boolean>;
  get(id: string): Promise<File | undefined>;
  remove(id: string): Promise<void>;
}

async function hasRoom(bytes: number): Promise<boolean> {
  if (bytes > FILE_BYTES_MAX) return false;
  const estimate = await navigator.storage?.estimate?.();
  if (!estimate?.quota) return true;
  return bytes < (estimate.quota - (estimate.usage ?? 0)) * SHARE_MAX;
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function run<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error ?? request.error);
    });
  } finally {
    database.close();
  }
}

/** IndexedDB, where the browser has it and has room; private windows may refuse. */
export const browserFiles: FileStore = {
  async put(id, file) {
    try {
      if (!(await hasRoom(file.size))) return false;
      await run('readwrite', (store) => store.put(file, id));
      return true;
    } catch {
      return false;
    }
  },
  async get(id) {
    try {
      const file: unknown = await run('readonly', (store) => store.get(id) as IDBRequest<unknown>);
      return file instanceof File ? file : undefined;
    } catch {
      return undefined;
    }
  },
  async remove(id) {
    await run('readwrite', (store) => store.delete(id)).catch(() => undefined);
  },
};
