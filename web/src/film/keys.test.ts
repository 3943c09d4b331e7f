import { beforeAll, describe, expect, it, vi } from 'vitest';
import { actionOf } from './keys';

const press = (key: string, more = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  target: null,
  ...more,
});

describe('actionOf', () => {
  beforeAll(() => void vi.stubGlobal('Element', Object));

  it('knows letters in both cases, digits and signs', () => {
    expect(actionOf(press('K'), false)).toEqual({ kind: 'toggle' });
    expect(actionOf(press('7'), false)).toEqual({ kind: 'tenth', tenth: 7 });
    expect(actionOf(press('>'), false)).toEqual({ kind: 'speed', by: 1 });
    expect(actionOf(press('q'), false)).toBeUndefined();
  });

  it('leaves scrolling to the page unless the player has the focus, and shortcuts to the browser', () => {
    expect(actionOf(press('ArrowUp'), false)).toBeUndefined();
    expect(actionOf(press('ArrowUp'), true)).toEqual({ kind: 'volume', by: 0.05 });
    expect(actionOf(press('f', { ctrlKey: true }), true)).toBeUndefined();
  });

  it('seeks sideways unless something else has the focus', () => {
    const focused = (selector: string) => ({ target: { closest: () => null, matches: () => selector === 'main' } });
    expect(actionOf(press('ArrowLeft', focused('main')), false)).toEqual({ kind: 'seek', by: -5 });
    expect(actionOf(press('ArrowLeft', focused('[role=tab]')), false)).toBeUndefined();
    expect(actionOf(press('ArrowLeft', focused('[role=tab]')), true)).toEqual({ kind: 'seek', by: -5 });
  });
});
