import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Fleet } from './fleet';
import { Painter, type Scene } from './painter';
import { pixel } from './palette';
import type { DrawOptions, View } from './protocol';

// Without a 2D context of the platform a name is a dark block of 8 px: enough to see where names stand.
beforeEach(() => {
  vi.stubGlobal('OffscreenCanvas', class {
    getContext(): null {
      return null;
    }
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

const VIEW: View = { x0: 0.5, y0: 0.5, scale: 100_000, w: 200, h: 100, zoom: 14, dpr: 1 };
const OPTIONS: DrawOptions = { theme: 'light', grouping: 'never', labels: true, colouring: 'status', live: true };

/** One vehicle at a pixel of the view. */
function scene(x: number, y: number, selected: boolean): Scene {
  const fleet = new Fleet();
  for (const key of ['x', 'y', 'vx', 'vy', 'fix', 'heard'] as const) fleet[key] = new Float64Array(1);
  for (const key of ['ex', 'ey', 'period'] as const) fleet[key] = new Float32Array(1);
  for (const key of ['course', 'status', 'look'] as const) fleet[key] = new Uint8Array(1);
  for (const key of ['present', 'shown'] as const) fleet[key] = new Uint8Array(1).fill(1);
  fleet.speed = new Uint16Array(1);
  fleet.n = 1;
  fleet.x[0] = VIEW.x0 + (x + 0.5) / VIEW.scale;
  fleet.y[0] = VIEW.y0 + (y + 0.5) / VIEW.scale;
  return { fleet, clock: 0, nameOf: () => 'Bus', selected: selected ? 0 : -1, trails: null, cells: null, trailSpan: 0 };
}

/** Pixels of names. */
function names(...scenes: Scene[]): number {
  const buffer = new Uint32Array(VIEW.w * VIEW.h);
  new Painter().paint(buffer, VIEW, scenes, OPTIONS, 10_000);
  return buffer.filter((p) => p === pixel(60, 60, 60)).length;
}

const ONE = 64;

it('lets no name of one scene cover that of another', () => {
  expect(names(scene(60, 50, false))).toBe(ONE);
  expect(names(scene(60, 50, false), scene(140, 50, false))).toBe(2 * ONE);
  // 4 px apart: one of them has room.
  expect(names(scene(60, 50, false), scene(60, 54, false))).toBe(ONE);
});

it('keeps names away from the selected vehicle, whatever scene it is in', () => {
  expect(names(scene(60, 50, true))).toBe(ONE);
  expect(names(scene(50, 50, false), scene(60, 50, true))).toBe(ONE);
});
