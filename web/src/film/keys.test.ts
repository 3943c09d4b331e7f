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

  it('leaves the arrows to the page unless the player has the focus, and shortcuts to the browser', () => {
    expect(actionOf(press('ArrowLeft'), false)).toBeUndefined();
    expect(actionOf(press('ArrowLeft'), true)).toEqual({ kind: 'seek', by: -5 });
    expect(actionOf(press('f', { ctrlKey: true }), true)).toBeUndefined();
  });
});
