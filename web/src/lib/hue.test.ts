import { expect, it } from 'vitest';
import { hueOfColor } from './hue';

it('takes the hue of a colour, and none of a grey', () => {
  expect(hueOfColor('#ff0000')).toBeCloseTo(29, 0);
  expect(hueOfColor('#0000ff')).toBeCloseTo(264, 0);
  expect([hueOfColor('#808080'), hueOfColor('red')]).toEqual([undefined, undefined]);
});
