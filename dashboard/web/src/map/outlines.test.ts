import { expect, it } from 'vitest';
import { trace, type Path, type Square } from './outlines';

type Point = [x: number, y: number];

/** What a pen was told. */
function drawn(path: Path, square: Square): Point[] {
  const points: Point[] = [];
  const put = (x: number, y: number): void => void points.push([x, y]);
  trace({ moveTo: put, lineTo: put }, path, 0, square);
  return points;
}

function isInside(ring: readonly Point[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i], [xj, yj] = ring[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** A coast with bays, of so many points, round the middle of the unit square. */
function coast(points: number): Path {
  const ring: number[] = [];
  for (let i = 0; i <= points; i++) {
    const turn = (2 * Math.PI * (i % points)) / points;
    const r = 0.3 + 0.1 * Math.sin(turn * 9) + 0.02 * Math.sin(turn * 97);
    ring.push(0.5 + r * Math.cos(turn), 0.5 + r * Math.sin(turn));
  }
  return { points: Float64Array.from(ring), box: [0, 0, 1, 1] };
}

/** A tile of a world that is 16 tiles wide, each of 512 px. */
const tile = (x: number, y: number): Square => ({ x0: x / 16, y0: y / 16, scale: 16 * 512, edge: 512 });

it('draws in every tile what the whole coast would, by a part of its points', () => {
  const land = coast(1200);
  let most = 0;
  for (let x = 0; x < 16; x++) {
    for (let y = 0; y < 16; y++) {
      const square = tile(x, y);
      const all: Point[] = [];
      for (let i = 0; i < land.points.length; i += 2) all.push([(land.points[i] - square.x0) * square.scale, (land.points[i + 1] - square.y0) * square.scale]);
      const some = drawn(land, square);
      most = Math.max(most, some.length);
      for (let px = 40; px < 512; px += 130) {
        // Half a pixel is left out at most: not asked so near to the coast.
        for (let py = 40; py < 512; py += 130) {
          if (all.every(([ax, ay]) => Math.hypot(ax - px, ay - py) > 2)) expect(isInside(some, px, py), `${x} ${y} ${px} ${py}`).toBe(isInside(all, px, py));
        }
      }
    }
  }
  expect(most).toBeLessThan(400);
});

it('draws a path that is wholly inside as it is, and ends where it ends', () => {
  const path: Path = { points: Float64Array.from([0.001, 0.001, 0.02, 0.03, 0.05, 0.01]), box: [0, 0, 1, 1] };
  const points = drawn(path, tile(0, 0));
  for (const [x, y] of [[0.001, 0.001], [0.02, 0.03], [0.05, 0.01]]) expect(points).toContainEqual([x * 8192, y * 8192]);
  expect(points.at(-1)).toEqual([0.05 * 8192, 0.01 * 8192]);
});

it('keeps a line that crosses a tile between two points outside of it', () => {
  // From the left to the right, and round the tile back.
  const path: Path = { points: Float64Array.from([-0.1, 0.03, 0.2, 0.03, 0.2, 0.5, -0.1, 0.5]), box: [-0.1, 0.03, 0.2, 0.5] };
  const points = drawn(path, tile(0, 0));
  const crossing = points.findIndex(([x], i) => i > 0 && points[i - 1][0] < 0 && x > 512);
  expect(points[crossing]).toEqual([0.2 * 8192, 0.03 * 8192]);
});
