import { expect, it } from 'vitest';
import { shapes } from './icons';

it('takes the shapes out of a Lucide component', () => {
  const source = 'const iconData = { "name": "x", "node": [["path", { "d": "M0 0h1" }]], "aliases": ["y"] };';
  expect(shapes(source)).toBe('<path d="M0 0h1"/>');
  expect(() => shapes('something else')).toThrow('unknown form');
});
