import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, backoffMs, request, useTokens } from './client';

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });

let calls: { url: string; init: RequestInit }[];
let answers: (() => Response)[];

beforeEach(() => {
  vi.useFakeTimers();
  calls = [];
  answers = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    calls.push({ url, init });
    const next = answers.shift();
    if (!next) throw new TypeError('no connection');
    return next();
  });
  useTokens({ token: async () => undefined, renew: async () => undefined });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const authorization = (index: number) => (calls[index]?.init.headers as Record<string, string>).Authorization;

describe('request', () => {
  it('repeats reading while a service restarts', async () => {
    answers = [() => answer(503, { code: 'service-unavailable' }, { 'Retry-After': '1' }), () => answer(200, { a: 1 })];
    const got = request('GET', '/api/x', { query: { q: 'a b', none: undefined } });
    await vi.runAllTimersAsync();
    expect(await got).toEqual({ a: 1 });
    expect(calls.map((call) => call.url)).toEqual(['/api/x?q=a+b', '/api/x?q=a+b']);
  });

  it('never repeats writing', async () => {
    answers = [() => answer(503, { code: 'service-unavailable' }), () => answer(200, {})];
    await expect(request('POST', '/api/x', { body: {} })).rejects.toMatchObject({ status: 503 });
    expect(calls).toHaveLength(1);
  });

  it('renews a refused token once', async () => {
    useTokens({ token: async () => 'old', renew: async () => 'new' });
    answers = [() => answer(401, { code: 'token-expired' }), () => answer(401, { code: 'token-invalid' })];
    await expect(request('GET', '/api/x')).rejects.toMatchObject({ code: 'token-invalid' });
    expect([authorization(0), authorization(1)]).toEqual(['Bearer old', 'Bearer new']);
  });

  it('says which fields are wrong, and when no answer came', async () => {
    answers = [() => answer(422, { code: 'invalid-field', errors: [{ field: 'name', detail: 'too long' }] })];
    await expect(request('POST', '/api/x')).rejects.toMatchObject({ fields: { name: 'too long' } });
    await expect(request('POST', '/api/x')).rejects.toBeInstanceOf(ApiError);
  });
});

describe('backoffMs', () => {
  it('doubles, follows the server, and has an end', () => {
    expect([backoffMs(1, undefined, 0), backoffMs(3, undefined, 0)]).toEqual([250, 1000]);
    expect([backoffMs(1, 2, 0), backoffMs(1, 60, 0)]).toEqual([2000, 4000]);
  });
});
