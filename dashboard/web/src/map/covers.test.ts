import { expect, it } from 'vitest';
import { stillCovers, type Ground } from './covers';

const DRAWN: Ground = { zoom: 12, originX: 1_000_000, originY: 700_000, x: 0, y: 0, w: 1000, h: 600 };
const covers = (more: Partial<Ground>): boolean => stillCovers(DRAWN, { ...DRAWN, ...more }, 0.3);

it('lasts as long as the map stays inside of what was drawn around it', () => {
  expect(covers({})).toBe(true);
  expect(covers({ x: 299, y: -179 })).toBe(true);
  expect(covers({ x: 300 })).toBe(false);
  expect(covers({ x: -300 })).toBe(false);
  // Less is drawn above and below: there is less height.
  expect(covers({ y: 200 })).toBe(false);
});

it('is over when the same place has other pixels, or the map another size', () => {
  for (const more of [{ zoom: 13 }, { originX: 1_000_256 }, { originY: 0 }, { w: 900 }, { h: 500 }]) expect(covers(more)).toBe(false);
});
