import { untrack } from 'svelte';

/** A short word about what just happened, perhaps with the way to undo it. */
export interface ToastMessage {
  id: number;
  text: string;
  kind: 'info' | 'error';
  action?: { label: string; run: () => void };
}

const SHOWN_MS = 6_000;
const MOST = 3;

class Toasts {
  #list = $state<ToastMessage[]>([]);
  #timers = new Map<number, ReturnType<typeof setTimeout>>();
  #next = 1;

  get list(): readonly ToastMessage[] {
    return this.#list;
  }

  /** Says something. Returns the id, for `dismiss`. */
  show(text: string, options: { kind?: 'info' | 'error'; action?: ToastMessage['action'] } = {}): number {
    const id = this.#next++;
    untrack(() => {
      this.#list.push({ id, text, kind: options.kind ?? 'info', action: options.action });
      while (this.#list.length > MOST) this.dismiss(this.#list[0]?.id ?? 0);
    });
    this.resume(id);
    return id;
  }

  error(text: string): number {
    return this.show(text, { kind: 'error' });
  }

  /** Someone reads or points at it: it stays. */
  hold(id: number): void {
    clearTimeout(this.#timers.get(id));
  }

  resume(id: number): void {
    this.hold(id);
    this.#timers.set(
      id,
      setTimeout(() => this.dismiss(id), SHOWN_MS),
    );
  }

  dismiss(id: number): void {
    this.hold(id);
    this.#timers.delete(id);
    this.#list = this.#list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
