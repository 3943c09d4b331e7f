import * as auth from '$/api/auth';
import { ApiError, useTokens } from '$/api/client';
import type { Login, Me, Register, SignedIn } from '$/api/types';
import { recall, remember } from './storage';

/** Not a secret: only says that asking for a token is worth a request. */
const FLAG = 'signedIn';
/** The token is renewed this long before it ends, so that the media cookie never runs out in a film. */
const EARLY_MS = 60_000;
const RENEW_ATTEMPTS = 4;

/** Who is signed in. The access token lives in memory only; the refresh token is a cookie no script reads. */
class Session {
  #user = $state.raw<Me>();
  #restoring = $state(false);
  #token: string | undefined;
  #renewal: Promise<string | undefined> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewAt = 0;

  get user(): Me | undefined {
    return this.#user;
  }

  /** True while it is not yet known whether the one who was signed in still is. */
  get restoring(): boolean {
    return this.#restoring;
  }

  get signedIn(): boolean {
    return this.#user !== undefined;
  }

  /** Picks up where the last visit ended. Does not wait. */
  start(): void {
    useTokens({
      token: async () => (this.#renewal ? await this.#renewal : this.#token),
      renew: async (stale) => (this.#token === stale || !this.#token ? await this.renew() : this.#token),
    });
    addEventListener('storage', (event) => {
      // Another tab signed out or in.
      if (event.key !== `djstream.${FLAG}`) return;
      if (event.newValue === null) this.#forget();
      else if (!this.#token) void this.renew();
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.#token && Date.now() >= this.#renewAt) void this.renew();
    });
    if (!recall<boolean>(FLAG)) return;
    this.#restoring = true;
    void this.renew().finally(() => {
      this.#restoring = false;
    });
  }

  async login(body: Login): Promise<void> {
    this.#accept(await auth.login(body));
  }

  async register(body: Register): Promise<void> {
    this.#accept(await auth.register(body));
  }

  async logout(): Promise<void> {
    try {
      await auth.logout();
    } finally {
      remember(FLAG, undefined);
      this.#forget();
    }
  }

  /** The account is gone, and with it all of its sessions. */
  end(): void {
    remember(FLAG, undefined);
    this.#forget();
  }

  /** One's own account changed. */
  update(user: Me): void {
    this.#user = user;
  }

  /** A fresh access token; however many ask at once, the server is asked once. */
  renew(): Promise<string | undefined> {
    this.#renewal ??= locked(() => this.#renew()).finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  async #renew(): Promise<string | undefined> {
    for (let attempt = 1; attempt <= RENEW_ATTEMPTS; attempt += 1) {
      try {
        const answer = await auth.refresh();
        this.#accept(answer);
        return answer.accessToken;
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) {
          remember(FLAG, undefined);
          this.#forget();
          return undefined;
        }
        await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
      }
    }
    // The server is away, which says nothing about the session: stay as we are.
    return this.#token;
  }

  #accept(answer: SignedIn): void {
    this.#token = answer.accessToken;
    this.#user = answer.user;
    remember(FLAG, true);
    const ms = Math.max(10_000, answer.expiresIn * 1000 - EARLY_MS);
    this.#renewAt = Date.now() + ms;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.renew(), ms);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#token = undefined;
    this.#user = undefined;
  }
}

/** Two tabs that renew at the same moment would use the same refresh token twice. */
function locked<T>(run: () => Promise<T>): Promise<T> {
  return 'locks' in navigator ? navigator.locks.request('djstream-renew', run) : run();
}

export const session = new Session();
