import { untrack } from 'svelte';
import { ApiError, type PageQuery } from '$/api/client';
import type { Page } from '$/api/types';

/** Where a list stands: its four faces are loading, empty (`ready` without items), failed and ready. */
export type ListStatus = 'loading' | 'ready' | 'failed';

/** A list that is fetched page by page. `identify` keeps an item that two pages name from standing twice. */
export class PagedList<T> {
  items = $state.raw<T[]>([]);
  status = $state<ListStatus>('loading');
  error = $state.raw<unknown>();
  /** A further page is on its way. */
  more = $state(false);
  #next = $state<string | undefined>();
  #abort = new AbortController();

  constructor(
    private readonly fetchPage: (page: PageQuery) => Promise<Page<T>>,
    private readonly identify: (item: T) => string,
    private readonly limit = 24,
  ) {}

  get hasMore(): boolean {
    return this.#next !== undefined;
  }

  get empty(): boolean {
    return this.status === 'ready' && this.items.length === 0;
  }

  /** Fetches the first page; what is shown stays until it is there. */
  async load(): Promise<void> {
    this.#abort.abort();
    const abort = (this.#abort = new AbortController());
    // Not tracked: an effect that loads would otherwise run again when the items arrive, for ever.
    if (untrack(() => this.items.length === 0)) this.status = 'loading';
    try {
      const page = await this.fetchPage({ limit: this.limit, signal: abort.signal });
      if (abort.signal.aborted) return;
      this.items = page.items;
      this.#next = page.nextPageToken;
      this.status = 'ready';
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error;
      this.status = 'failed';
    }
  }

  async loadMore(): Promise<void> {
    const token = this.#next;
    if (token === undefined || this.more) return;
    const { signal } = this.#abort;
    this.more = true;
    try {
      const page = await this.fetchPage({ limit: this.limit, pageToken: token, signal });
      if (signal.aborted) return;
      this.add(page.items);
      this.#next = page.nextPageToken;
    } catch (error) {
      // A token of a snapshot that has ended: what is shown is all there is.
      if (error instanceof ApiError && error.code === 'invalid-page-token') this.#next = undefined;
      else if (!signal.aborted) this.error = error;
    } finally {
      this.more = false;
    }
  }

  /** Appends what is not there yet. */
  add(items: T[]): void {
    const known = new Set(this.items.map(this.identify));
    this.items = [...this.items, ...items.filter((item) => !known.has(this.identify(item)))];
  }

  prepend(item: T): void {
    const id = this.identify(item);
    this.items = [item, ...this.items.filter((other) => this.identify(other) !== id)];
  }

  replace(item: T): void {
    const id = this.identify(item);
    this.items = this.items.map((other) => (this.identify(other) === id ? item : other));
  }

  remove(id: string): void {
    this.items = this.items.filter((item) => this.identify(item) !== id);
  }
}
