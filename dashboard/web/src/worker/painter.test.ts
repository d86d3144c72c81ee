import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CountedCells } from './counted';
import { Fleet, Look, VALID } from './fleet';
import { FLAG_FULL, Ft1Decoder, KIND_CELLS, KIND_DELTA } from './ft1';
import { latOf, lonOf } from './mercator';
import { LOOK_RGB, REPLAY_RGB, pixel } from './palette';
import { Painter, type Scene } from './painter';
import type { DrawOptions, View } from './protocol';
import { Trails } from './trails';

/** Node has no canvas: what is written is a block of this colour, 8 px wide. */
const INK = pixel(60, 60, 60);
const INK_PX = 64;
beforeAll(() => {
  vi.stubGlobal('OffscreenCanvas', class {
    constructor(public width: number, public height: number) {}
    getContext(): null {
      return null;
    }
  });
});
afterAll(() => {
  vi.unstubAllGlobals();
});

const T0 = 1_750_000_000_000;
const SCALE = 100_000;
/** 0°N 0°E is in the middle. */
const VIEW: View = { x0: 0.5 - 320 / SCALE, y0: 0.5 - 240 / SCALE, scale: SCALE, w: 640, h: 480, zoom: 14, dpr: 1 };
const OPTIONS: DrawOptions = { theme: 'light', grouping: 'never', labels: false, colouring: 'status', live: true };

type Spot = [x: number, y: number];
const MIDDLE: Spot = [320, 240];
const lon = (x: number): number => lonOf(VIEW.x0 + (x + 0.5) / SCALE);
const lat = (y: number): number => latOf(VIEW.y0 + (y + 0.5) / SCALE);

/** Parked vehicles at places on earth. */
function standing(places: [lat: number, lon: number][]): Fleet {
  const decoder = new Ft1Decoder();
  const n = places.length;
  decoder.slot = Uint32Array.from(places, (_, i) => i);
  decoder.lat = Int32Array.from(places, ([north]) => Math.round(north * 1e6));
  decoder.lon = Int32Array.from(places, ([, east]) => Math.round(east * 1e6));
  decoder.speed = new Uint16Array(n);
  decoder.course = new Uint8Array(n);
  decoder.dt = new Float64Array(n);
  decoder.status = new Uint8Array(n).fill(VALID);
  const fleet = new Fleet();
  fleet.apply(decoder, { kind: KIND_DELTA, flags: 6, epoch: 1, seq: 1, t0: T0, n, viewport: null }, T0, T0);
  return fleet;
}
const at = (spots: Spot[]): Fleet => standing(spots.map(([x, y]) => [lat(y), lon(x)]));

function paint(painter: Painter, scene: Partial<Scene> & { fleet: Fleet }, options: Partial<DrawOptions> = {}, view: Partial<View> = {}): { inView: number; colour: (x: number, y: number) => number; ink: number[] } {
  const buffer = new Uint32Array(VIEW.w * VIEW.h);
  const inView = painter.paint(buffer, { ...VIEW, ...view },
    [{ clock: T0, nameOf: (slot) => `Vehicle ${slot}`, selected: -1, trails: null, cells: null, trailSpan: 0, ...scene }], { ...OPTIONS, ...options }, T0);
  const ink: number[] = [];
  buffer.forEach((p, i) => {
    if (p === INK) ink.push(i);
  });
  return { inView, colour: (x, y) => buffer[y * VIEW.w + x], ink };
}
/** Left edge of what was written furthest to the left. */
const leftOf = (ink: number[]): number => Math.min(...ink.map((i) => i % VIEW.w));

describe('the selected vehicle', () => {
  /** Pixels of its halo, between the vehicle and the halo's edge. */
  const halo = ({ colour }: ReturnType<typeof paint>, [x, y]: Spot): number[] => [colour(x, y - 14), colour(x, y + 14), colour(x - 14, y)];
  const blue = pixel(...LOOK_RGB[Look.Moving]);

  function counted(): CountedCells {
    const cells = new CountedCells();
    const decoder = new Ft1Decoder();
    decoder.slot = Uint32Array.of(0);
    decoder.count = Uint32Array.of(7);
    decoder.lookCounts = Uint32Array.of(7, 0, 0, 0, 0, 0);
    decoder.cellSpeed = Uint8Array.of(255);
    decoder.course = Uint8Array.of(0);
    decoder.place = Uint8Array.of(0);
    cells.take(decoder, { kind: KIND_CELLS, flags: FLAG_FULL, epoch: 1, seq: 1, t0: 0, n: 1, viewport: { zoom: 8, x: 128, y: 128, w: 1, h: 1 } });
    return cells;
  }
  const hidden = (fleet: Fleet): Fleet => {
    fleet.shown.fill(0);
    return fleet;
  };
  const crowd = (n: number): Spot[] => Array<Spot>(n).fill(MIDDLE);

  it.each<[string, () => { scene: Partial<Scene> & { fleet: Fleet }; options?: Partial<DrawOptions>; zoom?: number }]>([
    ['among few', () => ({ scene: { fleet: at([MIDDLE, [300, 200]]) } })],
    ['in a group', () => ({ scene: { fleet: at(crowd(300)) }, options: { grouping: 'always' }, zoom: 6 })],
    ['in a crowd that groups by itself', () => ({ scene: { fleet: at(crowd(300)) }, options: { grouping: 'auto' }, zoom: 6 })],
    ['among so many that each is a dot', () => ({ scene: { fleet: at(crowd(4000)) }, zoom: 6 })],
    ['that passes no filter', () => ({ scene: { fleet: hidden(at([MIDDLE, [300, 200]])) } })],
    ['where the server counts', () => ({ scene: { fleet: at([MIDDLE]), cells: counted() }, zoom: 6 })],
  ])('is drawn over all others, and can be picked: %s', (_, situation) => {
    const { scene, options, zoom } = situation();
    const painter = new Painter();
    const picture = paint(painter, { ...scene, selected: 0 }, options, { zoom: zoom ?? VIEW.zoom });
    expect(halo(picture, MIDDLE)).toEqual([blue, blue, blue]);
    expect(picture.ink.length).toBeGreaterThanOrEqual(INK_PX);
    expect(painter.near(...MIDDLE, 4)).toContainEqual({ scene: 0, slot: 0 });
  });

  it('of the past has the colour of the past', () => {
    const picture = paint(new Painter(), { fleet: at([MIDDLE]), selected: 0, trails: new Trails(), trailSpan: 1000 });
    expect(halo(picture, MIDDLE)).toEqual(Array(3).fill(pixel(...REPLAY_RGB)));
  });

  it('is not drawn where it is not', () => {
    const fleet = at([MIDDLE]);
    fleet.present[0] = 0;
    expect(halo(paint(new Painter(), { fleet, selected: 0 }), MIDDLE)).toEqual([0, 0, 0]);
    // At the very edge a halo would be written into the next line, or beyond the picture.
    expect(() => paint(new Painter(), { fleet: at([[1, 1], [639, 479]]), selected: 1 })).not.toThrow();
  });
});

it('draws all but the one whose position is none', () => {
  const painter = new Painter();
  const fleet = standing([[lat(200), lon(200)], [91, lon(300)], [lat(300), 181], [90, lon(300)], [lat(300), lon(400)]]);
  const { inView, colour } = paint(painter, { fleet });
  const parked = pixel(...LOOK_RGB[Look.Parked]);
  expect([fleet.refused, inView, colour(200, 200), colour(400, 300)]).toEqual([2, 2, parked, parked]);
  expect(painter.near(400, 300, 3)).toEqual([{ scene: 0, slot: 4 }]);
});

it('counts a group where vehicles are too dense, and picks it as one', () => {
  const painter = new Painter();
  expect(paint(painter, { fleet: at(Array<Spot>(300).fill(MIDDLE)) }, { grouping: 'always' }, { zoom: 6 }).inView).toBe(300);
  // Its mark stays inside its square, whose corner is near.
  expect(painter.near(...MIDDLE, 40)).toEqual([null]);
  paint(painter, { fleet: at(Array<Spot>(300).fill(MIDDLE)) }, { grouping: 'never' }, { zoom: 6 });
  expect(painter.near(...MIDDLE, 3).length).toBe(300);
});

describe('names', () => {
  const names = (spots: Spot[], options: Partial<DrawOptions> = {}, zoom = 14): number =>
    paint(new Painter(), { fleet: at(spots) }, { labels: true, ...options }, { zoom }).ink.length / INK_PX;

  it('are written near enough, if they are wanted, each where none is yet', () => {
    expect(names([[200, 200], [300, 300]])).toBe(2);
    expect(names([[200, 200], [200, 200]])).toBe(1);
    expect(names([[200, 200], [300, 300]], { labels: false })).toBe(0);
    expect(names([[200, 200], [300, 300]], {}, 12)).toBe(0);
    expect(names([[200, 200], [300, 300]], { grouping: 'always' })).toBe(0);
  });

  it('hide no vehicle', () => {
    const { colour } = paint(new Painter(), { fleet: at([[200, 200], [216, 200]]) }, { labels: true });
    expect(colour(216, 200)).toBe(pixel(...LOOK_RGB[Look.Parked]));
  });

  it('stay with whom they were, as long as both are there', () => {
    const painter = new Painter();
    const fleet = at([[200, 200], [206, 200]]);
    fleet.shown[0] = 0;
    const alone = leftOf(paint(painter, { fleet }, { labels: true }).ink);
    fleet.shown[0] = 1;
    const again = paint(painter, { fleet }, { labels: true }).ink;
    // Parts of it may lie under the other vehicle.
    expect(Math.max(...again.map((i) => i % VIEW.w))).toBe(alone + 7);
    expect(leftOf(paint(new Painter(), { fleet }, { labels: true }).ink)).toBeLessThan(alone);
  });

  it('give way to the name of the selected vehicle', () => {
    const beside: Spot = [MIDDLE[0] + 10, MIDDLE[1]];
    const painter = new Painter();
    const fleet = at([MIDDLE, beside]);
    expect(paint(painter, { fleet, selected: 0 }, { labels: true }).ink.length).toBe(INK_PX);
  });
});
