import { getTicket, getUnreadCount } from '$/api/notifications';
import { ApiError } from '$/api/client';
import type { Notification } from '$/api/types';

const RECONNECT_MAX_MS = 30_000;

/**
 * The live line for notifications: a websocket that comes back by itself and then gets what it missed.
 * Holds the number of unread ones for the bell.
 */
class Live {
  unread = $state(0);
  #latest = $state.raw<Notification>();
  #socket: WebSocket | undefined;
  #listeners = new Set<(notification: Notification) => void>();
  #lastId: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #wanted = false;

  /** The last that came, for the live region. */
  get latest(): Notification | undefined {
    return this.#latest;
  }

  /** Somebody is signed in. */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    void this.#connect();
  }

  stop(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
    this.#lastId = this.#latest = undefined;
    this.unread = 0;
  }

  /** Calls back with each that arrives; returns how to end that. */
  listen(callback: (notification: Notification) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  /** Asks the server how many are unread. */
  async recount(): Promise<void> {
    try {
      this.unread = (await getUnreadCount()).unread;
    } catch {
      // The number that is shown stays.
    }
  }

  async #connect(): Promise<void> {
    try {
      const { ticket } = await getTicket();
      if (!this.#wanted) return;
      const url = new URL('/api/notifications/socket', location.href);
      url.protocol = url.protocol.replace('http', 'ws');
      url.searchParams.set('ticket', ticket);
      if (this.#lastId) url.searchParams.set('after', this.#lastId);
      this.#open(new WebSocket(url));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return;
      this.#later();
    }
  }

  #open(socket: WebSocket): void {
    this.#socket = socket;
    socket.onopen = () => {
      this.#failures = 0;
      // Asked only now, so that nothing can fall between the count and the first frame.
      void this.recount();
    };
    socket.onmessage = (event: MessageEvent<string>) => this.#receive(JSON.parse(event.data) as Notification);
    socket.onclose = () => {
      if (this.#socket === socket) this.#later();
    };
  }

  #receive(notification: Notification): void {
    if (!notification.id) return;
    this.#lastId = notification.id;
    this.#latest = notification;
    // A merged one that grew may take the place of one that was not read yet: only the server knows.
    if (notification.replaces) void this.recount();
    else this.unread += 1;
    for (const listener of this.#listeners) listener(notification);
  }

  #later(): void {
    if (!this.#wanted) return;
    this.#failures += 1;
    const ms = Math.min(RECONNECT_MAX_MS, 500 * 2 ** Math.min(this.#failures, 8)) * (0.7 + 0.6 * Math.random());
    this.#timer = setTimeout(() => void this.#connect(), ms);
  }
}

export const live = new Live();
