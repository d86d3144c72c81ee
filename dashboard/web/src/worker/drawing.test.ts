import { describe, expect, it } from 'vitest';
import { Cells } from './cells';
import { Fleet, Look, Projection } from './fleet';
import { Occupancy } from './labels';
import { SPEED_UNKNOWN } from './ft1';
import { REPLAY_RGB, SPEED_RGB, pixel, speedColour } from './palette';
import { PickGrid, distinct } from './pick';
import { SpriteSet, blend, putSprite, putStamp } from './sprites';
import { Trails, clip, line } from './trails';

const projection = (places: [x: number, y: number][]): Projection => {
  const p = new Projection();
  p.reserve(places.length);
  places.forEach(([x, y], i) => {
    p.slot[i] = i;
    p.px[i] = x;
    p.py[i] = y;
  });
  return p;
};
const VIEW = { x0: 0, y0: 0, scale: 1, w: 640, h: 480, margin: 8, zoom: 6, dpr: 1 };

describe('counted cells', () => {
  it('count every vehicle once and tell the usual and the worst status', () => {
    const looks = Uint8Array.from([Look.Moving, Look.Moving, Look.Alarm, Look.Parked]);
    const cells = new Cells().gather(projection([[10, 10], [20, 20], [30, 30], [300, 300]]), 4, looks, VIEW, 64);
    expect(cells.map(({ count, usual, worst }) => ({ count, usual, worst }))).toEqual([
      { count: 3, usual: Look.Moving, worst: Look.Alarm }, { count: 1, usual: Look.Parked, worst: Look.Parked },
    ]);
    expect(cells[1].only).toBe(3);
  });

  it('start anew with each frame', () => {
    const cells = new Cells();
    const looks = new Uint8Array(2);
    cells.gather(projection([[10, 10], [12, 12]]), 2, looks, VIEW, 64);
    expect(cells.gather(projection([[10, 10], [12, 12]]), 2, looks, VIEW, 64)[0].count).toBe(2);
  });

  it('keep their marks apart from their neighbours', () => {
    const places: [number, number][] = [];
    for (let i = 0; i < 500; i++) places.push([62, 30], [66, 30]);
    const [a, b] = new Cells().gather(projection(places), 1000, new Uint8Array(1000), VIEW, 64);
    expect(Math.abs(a.x - b.x)).toBeGreaterThanOrEqual(Math.floor(a.radius + b.radius));
  });

  it('come for blots only, and not flickering', () => {
    const cells = new Cells();
    const spread = projection(Array.from({ length: 400 }, (_, i) => [(i % 20) * 30 + 10, Math.floor(i / 20) * 22 + 10]));
    const blot = projection(Array.from({ length: 400 }, (_, i) => [100 + (i % 60), 100 + (i % 50)]));
    expect(cells.crowding(spread, 400, VIEW)).toBe(1);
    expect(cells.crowding(blot, 400, VIEW)).toBeGreaterThan(10);
    expect([cells.isDense(400, 4, 6), cells.isDense(400, 6, 6), cells.isDense(400, 4, 6), cells.isDense(400, 3, 6)]).toEqual([false, true, true, false]);
    expect(cells.isDense(400, 20, 15)).toBe(false);
  });
});

describe('picking', () => {
  it('finds what was drawn near, nearest first, across squares of the grid', () => {
    const grid = new PickGrid();
    grid.reset(200, 200, 3);
    grid.add(15, 15, 1);
    grid.add(17, 17, 2);
    grid.add(120, 120, 3);
    expect(grid.near(18, 18, 6)).toEqual([2, 1]);
    expect(grid.near(60, 60, 10)).toEqual([]);
    grid.reset(200, 200, 3);
    expect(grid.near(18, 18, 6)).toEqual([]);
  });
});

it('tells apart all vehicles at one spot, and says how many it leaves out', () => {
  const depot = Array.from({ length: 80 }, (_, slot) => ({ scene: 0, slot }));
  expect(distinct([{ scene: 0, slot: 7 }, null, ...depot], 200)).toEqual({ those: [depot[7], ...depot.filter(({ slot }) => slot !== 7)], more: 0 });
  expect(distinct([...depot, { scene: 1, slot: 7 }], 20)).toEqual({ those: depot.slice(0, 20), more: 61 });
});

describe('labels', () => {
  it('never overlap and never leave the picture', () => {
    const ground = new Occupancy();
    ground.reset(100, 100);
    expect(ground.take(10, 10, 40, 16)).toBe(true);
    expect(ground.take(30, 20, 40, 16)).toBe(false);
    expect(ground.take(30, 40, 40, 16)).toBe(true);
    expect(ground.take(80, 10, 40, 16)).toBe(false);
    expect(ground.take(-8, 10, 40, 16)).toBe(false);
    // The selected vehicle has its place, also at the edge, and whoever was there before.
    ground.block(60, -10, 200, 40);
    expect([ground.take(50, 20, 20, 8), ground.take(72, 40, 20, 8)]).toEqual([false, true]);
  });
});

describe('sprites', () => {
  it('point where the vehicle goes', () => {
    const w = 41;
    const set = new SpriteSet(10, w, 'light');
    const centroid = (course: number): [number, number] => {
      const buffer = new Uint32Array(w * w);
      putSprite(buffer, 20 * w + 20, set.of(Look.Moving, course, Look.Moving));
      // The tip reaches further from the centre than the tail.
      let top = 0, right = 0;
      buffer.forEach((p, at) => {
        if (p === 0) return;
        top = Math.max(top, 20 - Math.floor(at / w));
        right = Math.max(right, (at % w) - 20);
      });
      return [top, right];
    };
    const [north] = centroid(0);
    const [, east] = centroid(64);
    const [south] = centroid(128);
    expect(north).toBe(east);
    expect(north).toBeGreaterThan(south);
  });

  it('put whole pixels over and smooth edges under what is there', () => {
    const sprite = {
      whole: Int32Array.of(0), wholeColour: Uint32Array.of(pixel(1, 2, 3)), partial: Int32Array.of(1, 2), partialColour: Uint32Array.of(7, 8),
    };
    const buffer = Uint32Array.of(9, 9, 0);
    putSprite(buffer, 0, sprite);
    expect([...buffer]).toEqual([pixel(1, 2, 3), 9, 8]);
  });

  it('cut stamps at the edges', () => {
    const stamp = { w: 2, h: 2, px: Uint32Array.of(pixel(1, 1, 1), pixel(2, 2, 2), pixel(3, 3, 3), pixel(4, 4, 4)) };
    const buffer = new Uint32Array(9);
    putStamp(buffer, 3, 3, stamp, -1, -1);
    putStamp(buffer, 3, 3, stamp, 2, 2);
    expect([...buffer]).toEqual([pixel(4, 4, 4), 0, 0, 0, 0, 0, 0, 0, pixel(1, 1, 1)]);
  });

  it('blend like paper over paper', () => {
    expect(blend(0, pixel(10, 20, 30, 40))).toBe(pixel(10, 20, 30, 40));
    expect(blend(pixel(0, 0, 0), pixel(255, 255, 255, 128))).toBe(pixel(128, 128, 128));
  });
});

describe('trails', () => {
  it.each([1, 2_048, 20_000])('go back as far as was chosen, with %d vehicles', (vehicles) => {
    const hour = 3_600;
    const at = { n: vehicles, fix: new Float64Array(vehicles), x: new Float64Array(vehicles), y: new Float64Array(vehicles).fill(0.5), speed: new Uint16Array(vehicles) };
    const slot = vehicles - 1;
    const trails = new Trails();
    for (let s = 0; s <= hour; s++) {
      at.fix[slot] = 1_000 * (s + 1);
      at.x[slot] = s / hour;
      trails.note(at, Uint32Array.of(slot), 1, 1_000 * hour);
    }
    const leftmost = (span: number): number => {
      const buffer = new Uint32Array(100 * 100);
      trails.draw(buffer, { ...VIEW, scale: 100, w: 100, h: 100 }, slot, 99, 50, at.fix[slot], span, false, trails.stride(1));
      return Math.min(...[...buffer.keys()].filter((i) => buffer[i] !== 0).map((i) => i % 100));
    };
    expect(leftmost(1_000 * hour)).toBeLessThan(4);
    expect(leftmost(250 * hour)).toBeGreaterThan(70);
    expect(leftmost(250 * hour)).toBeLessThan(79);
  });

  it('have the colours of speeds, where those were told', () => {
    const at = { n: 1, fix: new Float64Array(1), x: new Float64Array(1), y: Float64Array.of(0.5), speed: new Uint16Array(1) };
    const trails = new Trails();
    [[0, 0], [0.4, 600], [0.8, SPEED_UNKNOWN]].forEach(([x, speed], i) => {
      at.fix[0] = 1_000 * (i + 1);
      at.x[0] = x;
      at.speed[0] = speed;
      trails.note(at, Uint32Array.of(0), 1, 0);
    });
    const colours = (bySpeed: boolean): number[] => {
      const buffer = new Uint32Array(100 * 100);
      trails.draw(buffer, { ...VIEW, scale: 100, w: 100, h: 100 }, 0, 80, 50, 3_000, 60_000, bySpeed, 1);
      return [20, 60].map((x) => buffer[50 * 100 + x] & 0xffffff);
    };
    const rgb = (colour: readonly [number, number, number]): number => pixel(...colour) & 0xffffff;
    expect(colours(false)).toEqual([rgb(REPLAY_RGB), rgb(REPLAY_RGB)]);
    expect(colours(true)).toEqual([rgb(SPEED_RGB[speedColour(600)]), rgb(REPLAY_RGB)]);
  });

  it('stay when more vehicles come, and cost no more than a picture bears', () => {
    const at = { n: 1, fix: Float64Array.of(1_000), x: Float64Array.of(0), y: Float64Array.of(0.5), speed: Uint16Array.of(0) };
    const trails = new Trails();
    trails.note(at, Uint32Array.of(0), 1, 0);
    const more = { n: 9_000, fix: new Float64Array(9_000), x: new Float64Array(9_000), y: new Float64Array(9_000), speed: new Uint16Array(9_000) };
    trails.note(more, new Uint32Array(0), 0, 0);
    const buffer = new Uint32Array(100 * 100);
    trails.draw(buffer, { ...VIEW, scale: 100, w: 100, h: 100 }, 0, 40, 50, 2_000, 60_000, false, 1);
    expect(buffer[50 * 100]).not.toBe(0);
    expect([1, 2_000].map((n) => trails.stride(n))).toEqual([1, 1]);
    expect(new Trails().stride(2_000)).toBeGreaterThan(1);
  });

  it('go on across the 180th meridian', () => {
    const fleet = new Fleet();
    [fleet.x, fleet.y, fleet.fix, fleet.speed] = [new Float64Array(1), new Float64Array(1).fill(0.5), new Float64Array(1), new Uint16Array(1)];
    fleet.n = 1;
    const trails = new Trails();
    for (const [t, x] of [[1_000, 0.9985], [2_000, 0.9995], [3_000, 0.0005]]) {
      fleet.x[0] = x;
      fleet.fix[0] = t;
      trails.note(fleet, Uint32Array.of(0), 1, 60_000);
    }
    // 100 px wide, with the meridian in the middle, seen from either side.
    for (const x0 of [0.995, -0.005]) {
      const buffer = new Uint32Array(100 * 20);
      trails.draw(buffer, { x0, y0: 0.499, scale: 10_000, w: 100, h: 20, margin: 0 }, 0, 55, 10, 3_000, 60_000, false, 1);
      const drawn = [...buffer.subarray(10 * 100, 11 * 100).keys()].filter((x) => buffer[10 * 100 + x] !== 0);
      expect([drawn[0], drawn[drawn.length - 1], drawn.length]).toEqual([35, 56, 22]);
    }
  });

  it('are clipped to the picture', () => {
    expect(clip(-10, 5, 30, 5, 20, 20)).toEqual([0, 5, 20, 5]);
    expect(clip(-10, -5, 30, -5, 20, 20)).toBeNull();
    const buffer = new Uint32Array(100);
    line(buffer, 10, 10, -1e9, 3, 1e9, 3, 1);
    expect(buffer.filter((p) => p === 1).length).toBeGreaterThan(8);
  });
});
