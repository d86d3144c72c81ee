import { expect, it } from 'vitest';
import type { View } from '../worker/protocol';
import { PAD, holds } from './hold';

const SCALE = 256 * 2 ** 6;
const VIEW: View = { x0: 0.5, y0: 0.3, scale: SCALE, w: 1472, h: 992, zoom: 6, dpr: 1 };
const movedBy = (px: number, more: Partial<View> = {}): View => ({ ...VIEW, x0: VIEW.x0 + px / SCALE, ...more });
const MOVING = { still: false, holdMs: 100 };
const STILL = { still: true, holdMs: 0 };

it('draws a drag seldom: each picture is moved until its edge is near, or it is old', () => {
  // A drag of 420 px/s, 60 frames a second: what asks is counted.
  let asked = VIEW, askedAt = 0, pictures = 0;
  for (let frame = 1; frame <= 60; frame++) {
    const at = (frame * 1000) / 60, view = movedBy((frame * 420) / 60);
    if (holds(asked, view, at - askedAt, MOVING)) continue;
    // The part that has not been drawn has not come into sight yet.
    expect((view.x0 - asked.x0) * SCALE).toBeLessThan(PAD);
    [asked, askedAt, pictures] = [view, at, pictures + 1];
  }
  expect(pictures).toBeGreaterThan(4);
  expect(pictures).toBeLessThan(8);
});

it('asks at once when what is drawn beyond the edge is used up', () => {
  expect(holds(VIEW, movedBy(PAD), 0, STILL)).toBe(false);
  expect(holds(VIEW, { ...VIEW, y0: VIEW.y0 - PAD / SCALE }, 0, STILL)).toBe(false);
  // On a fine screen a CSS px is two.
  expect(holds({ ...VIEW, dpr: 2 }, movedBy(100, { dpr: 2 }), 0, MOVING)).toBe(true);
});

it('keeps a picture in which nothing moves, and another as long as nobody would see it move', () => {
  expect(holds(VIEW, { ...VIEW }, 60_000, STILL)).toBe(true);
  expect(holds(VIEW, { ...VIEW }, 99, MOVING)).toBe(true);
  expect(holds(VIEW, { ...VIEW }, 100, MOVING)).toBe(false);
});

it('never keeps one of another zoom, size or screen', () => {
  for (const other of [{ scale: SCALE * 2 }, { w: 900 }, { h: 900 }, { dpr: 2 }]) expect(holds(VIEW, { ...VIEW, ...other }, 0, STILL)).toBe(false);
});
