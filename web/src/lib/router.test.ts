import { describe, expect, it } from 'vitest';
import { match } from './router.svelte';

describe('match', () => {
  it('reads the named parts', () => {
    expect(match('/watch/:id', '/watch/abc/')).toEqual({ id: 'abc' });
    expect(match('/@:handle', '/@anna.b')).toEqual({ handle: 'anna.b' });
    expect(match('/', '/')).toEqual({});
  });

  it('refuses what is missing, too long or wrongly encoded', () => {
    expect(match('/@:handle', '/anna')).toBeUndefined();
    expect(match('/@:handle', '/@')).toBeUndefined();
    expect(match('/watch/:id', '/watch/a/b')).toBeUndefined();
    expect(match('/watch/:id', '/watch/%E0%A4%A')).toBeUndefined();
  });
});
