const PREFIX = 'djstream.';

/** Reads a remembered choice; `undefined` when there is none or storage is forbidden. */
export function recall<T>(key: string): T | undefined {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

/** Remembers a choice on this device; `undefined` forgets it. Failing is harmless: it is a convenience. */
export function remember(key: string, value: unknown): void {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Private windows may forbid storage.
  }
}
