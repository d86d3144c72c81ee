import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Viewport } from '../wire/types';
import type { View } from './protocol';
import { Sight, WORLD, tilesOf } from './sight';

/** A map of so many tiles around a Mercator place. */
const view = (zoom: number, x: number, y: number, wide = 5, high = 3): View => {
  const scale = 256 * 2 ** zoom;
  return { x0: x - wide / 2 / 2 ** zoom, y0: y - high / 2 / 2 ** zoom, scale, w: wide * 256, h: high * 256, zoom, dpr: 1 };
};

it('tells all tiles that the map touches', () => {
  expect(tilesOf(view(4, 0.51, 0.52))).toEqual({ zoom: 4, x: 5, y: 6, w: 6, h: 4 });
  // The world repeats, and ends in the north and the south.
  expect(tilesOf(view(4, 0.01, 0.01))).toEqual({ zoom: 4, x: 13, y: 0, w: 6, h: 2 });
  expect(tilesOf(view(4, 1.01, 0.99))).toEqual({ zoom: 4, x: 13, y: 14, w: 6, h: 2 });
  expect(tilesOf(view(2, 0.5, 0.5, 10))).toEqual({ zoom: 2, x: 0, y: 0, w: 4, h: 4 });
  // Half a zoom, while the map flies.
  expect(tilesOf(view(4.4, 0.51, 0.52)).zoom).toBe(4);
});

it('never tells more tiles than the server takes', () => {
  const { zoom, w, h } = tilesOf(view(10, 0.5, 0.5, 60, 30));
  expect([zoom, w * h <= 320]).toEqual([8, true]);
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('tells at once what is shown, and during a drag the newest now and then', () => {
  const told: Viewport[] = [];
  const sight = new Sight((viewport) => told.push(viewport));
  expect(sight.now).toBe(WORLD);
  sight.show(view(6, 0.5, 0.5));
  expect(told.length).toBe(1);
  for (let i = 1; i <= 50; i++) sight.show(view(6, 0.5 + i / 64, 0.5));
  sight.show(view(6, 0.52, 0.5));
  expect(told.length).toBe(1);
  vi.advanceTimersByTime(300);
  expect(told.slice(1)).toEqual([tilesOf(view(6, 0.52, 0.5))]);
  // Nothing new.
  sight.show(view(6, 0.52, 0.5));
  vi.advanceTimersByTime(1_000);
  expect(told.length).toBe(2);
  expect(sight.now).toEqual(told[1]);
});

it('looks closer at where vehicles are', () => {
  const told: Viewport[] = [];
  const sight = new Sight((viewport) => told.push(viewport));
  // One cell of the world: a 64th.
  sight.look([33 / 64, 21 / 64, 34 / 64, 22 / 64]);
  expect(told).toEqual([{ zoom: 9, x: 264, y: 168, w: 9, h: 9 }]);
  sight.look([0.1, 0.2, 0.1, 0.2]);
  expect(sight.now.zoom).toBe(22);
});
