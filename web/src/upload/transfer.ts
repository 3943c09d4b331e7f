import { DetailedError, Upload, type HttpRequest, type HttpResponse } from 'tus-js-client';
import { ApiError, problemError, tokenSource } from '$/api/client';
import type { Problem } from '$/api/types';

const ENDPOINT = '/api/uploads';
/** A break costs at most this much again; larger ones would not go through many proxies. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** No byte went out for this long: the line is dead, whatever the browser believes. */
const STALL_MS = 60_000;

export interface TransferEvents {
  /** The server takes the bytes there. */
  created(url: string, videoId: string | undefined): void;
  /** Bytes that went out; a few of them may not have arrived. */
  progress(bytes: number): void;
  /** Bytes that the server has for good. */
  accepted(bytes: number): void;
  done(): void;
  failed(error: ApiError): void;
}

export interface Transfer {
  /** Ends it here and now; nothing is reported afterwards. The server keeps what it has. */
  stop(): void;
}

/** Sends a file, from the start or from where the server is. One attempt: trying again is the queue's. */
export type StartTransfer = (
  file: File,
  from: { url?: string; metadata: Record<string, string> },
  events: TransferEvents,
) => Transfer;

/** Over tus. */
export const startTransfer: StartTransfer = (file, from, events) => {
  let watch: ReturnType<typeof setTimeout> | undefined;
  let token: string | undefined;
  let ended = false;

  const upload = new Upload(file, {
    // Without an endpoint a lost upload is an error, not silently a second one.
    endpoint: from.url ? null : ENDPOINT,
    uploadUrl: from.url ?? null,
    metadata: from.metadata,
    chunkSize: CHUNK_BYTES,
    retryDelays: null,
    storeFingerprintForResuming: false,
    onBeforeRequest: authorize,
    onAfterResponse: heard,
    onProgress(bytes) {
      alive();
      events.progress(bytes);
    },
    onChunkComplete: (_size, accepted) => events.accepted(accepted),
    onSuccess() {
      end();
      events.done();
    },
    onError(error) {
      void refused(error);
    },
  });

  async function authorize(request: HttpRequest): Promise<void> {
    token = await tokenSource().token();
    if (token) request.setHeader('Authorization', `Bearer ${token}`);
  }

  function heard(request: HttpRequest, response: HttpResponse): void {
    alive();
    const location = response.getHeader('Location');
    if (request.getMethod() !== 'POST' || response.getStatus() !== 201 || !location) return;
    events.created(new URL(location, document.baseURI).pathname, response.getHeader('DjStream-Video'));
  }

  async function refused(error: Error): Promise<void> {
    if (ended) return;
    const problem = errorOf(error);
    if (problem.status === 401 && token) {
      const fresh = await tokenSource().renew(token);
      if (ended) return;
      // The next attempt is the queue's, with the fresh token.
      if (fresh) return fail(new ApiError(0, 'token-renewed', problem.message));
    }
    fail(problem);
  }

  function fail(error: ApiError): void {
    end();
    events.failed(error);
  }

  function alive(): void {
    clearTimeout(watch);
    if (ended) return;
    watch = setTimeout(() => {
      void upload.abort();
      fail(new ApiError(0, 'network', 'The server cannot be reached.'));
    }, STALL_MS);
  }

  function end(): void {
    ended = true;
    clearTimeout(watch);
  }

  alive();
  upload.start();
  return {
    stop() {
      end();
      void upload.abort();
    },
  };
};

/** What the server said, or that it could not be reached. */
function errorOf(error: Error): ApiError {
  const response = error instanceof DetailedError ? error.originalResponse : null;
  if (!response?.getStatus()) return new ApiError(0, 'network', 'The server cannot be reached.');
  let problem: Partial<Problem> = {};
  try {
    problem = JSON.parse(response.getBody()) as Partial<Problem>;
  } catch {
    // An answer to HEAD has no body, a proxy's is a page.
  }
  return problemError(response.getStatus(), problem, error.message, response.getHeader('Retry-After') ?? null);
}
