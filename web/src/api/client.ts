import type { Problem } from './types';

/** What the server, or the way to it, says went wrong. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** 0 when no answer came at all. */
    readonly status: number,
    /** Stable and kebab-case; `network` when no answer came. */
    readonly code: string,
    message: string,
    /** By field name, in words. */
    readonly fields: Record<string, string> = {},
    readonly retryAfterS?: number,
  ) {
    super(message);
  }
}

export interface RequestOptions {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Survives the page being closed. */
  keepalive?: boolean;
  /** Sends no token, and does not wait for one. */
  anonymous?: boolean;
}

/** How the client gets its access token; the session fills it in. */
export interface TokenSource {
  /** The token now; waits for a renewal that is under way. */
  token(): Promise<string | undefined>;
  /** A fresh one after a 401, or `undefined` when one is signed out. `stale` is the one that was refused. */
  renew(stale: string): Promise<string | undefined>;
}

const READ_ATTEMPTS = 5;
const RETRY_MAX_MS = 4_000;

let tokens: TokenSource = { token: async () => undefined, renew: async () => undefined };

export function useTokens(source: TokenSource): void {
  tokens = source;
}

/** For what cannot go through `request`: the upload client makes its requests itself. */
export function tokenSource(): TokenSource {
  return tokens;
}

/**
 * Calls the API. Reading is repeated quietly while a service restarts (503 with `Retry-After`) or the
 * connection breaks; writing never is. An access token that has run out is renewed once.
 */
export async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const repeatable = method === 'GET';
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await authorized<T>(method, path, options);
    } catch (error) {
      if (!(error instanceof ApiError) || !repeatable || attempt >= READ_ATTEMPTS) throw error;
      if (error.status !== 503 && error.status !== 0) throw error;
      await pause(backoffMs(attempt, error.retryAfterS), options.signal);
    }
  }
}

async function authorized<T>(method: string, path: string, options: RequestOptions): Promise<T> {
  const token = options.anonymous ? undefined : await tokens.token();
  const response = await send(method, path, options, token);
  if (response.status !== 401 || !token) return read<T>(response);
  const fresh = await tokens.renew(token);
  return read<T>(fresh ? await send(method, path, options, fresh) : response);
}

async function send(
  method: string,
  path: string,
  options: RequestOptions,
  token: string | undefined,
): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let body: BodyInit | undefined;
  if (options.body instanceof Blob) {
    body = options.body;
  } else if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    body = JSON.stringify(options.body);
  }
  try {
    return await fetch(path + queryOf(options.query), {
      method,
      headers,
      body,
      signal: options.signal,
      keepalive: options.keepalive,
      credentials: 'same-origin',
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'network', 'The server cannot be reached.');
  }
}

function queryOf(query: RequestOptions['query']): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== '') params.set(name, String(value));
  }
  const text = params.toString();
  return text && `?${text}`;
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await errorOf(response);
  if (response.status === 204 || response.headers.get('Content-Length') === '0') return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

async function errorOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  return problemError(response.status, problem, response.statusText, response.headers.get('Retry-After'));
}

/** The error for an answer with problem details, as far as it has them. */
export function problemError(
  status: number,
  problem: Partial<Problem>,
  statusText = '',
  retryAfter: string | null = null,
): ApiError {
  const fields = Object.fromEntries((problem.errors ?? []).map((error) => [error.field, error.detail]));
  const header = Number(retryAfter ?? Number.NaN);
  return new ApiError(
    status,
    problem.code ?? `http-${status}`,
    problem.detail ?? problem.title ?? statusText,
    fields,
    problem.retryAfter ?? (Number.isFinite(header) ? header : undefined),
  );
}

/** Doubles from 250 ms; the server's own wish comes first; a little chance keeps clients apart. */
export function backoffMs(attempt: number, retryAfterS?: number, chance = Math.random()): number {
  const wished = retryAfterS === undefined ? 250 * 2 ** (attempt - 1) : retryAfterS * 1000;
  return Math.min(wished, RETRY_MAX_MS) * (1 + 0.3 * chance);
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new DOMException('aborted', 'AbortError'));
    });
  });
}

/** Asked for with each creation, so that a repeated one is not a second one. */
export function idempotencyKey(): Record<string, string> {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { 'Idempotency-Key': Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('') };
}

/** Where a list goes on. */
export interface PageQuery {
  limit?: number;
  pageToken?: string;
  signal?: AbortSignal;
}

export function pageOptions(page: PageQuery, query: Record<string, string | number | undefined> = {}): RequestOptions {
  return { query: { ...query, limit: page.limit, pageToken: page.pageToken }, signal: page.signal };
}
