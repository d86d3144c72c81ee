import { describe, expect, it } from 'vitest';
import { Fleet, Look, MOVING, Projection, VALID, lookOf } from './fleet';
import { Ft1Decoder, KIND_DELTA, KIND_REMOVED, type FrameHeader } from './ft1';
import { EARTH_CIRCUMFERENCE_M, latOf, lonOf } from './mercator';

const T0 = 1_750_000_000_000;

interface Fix { slot?: number; lat: number; lon: number; kmh?: number; course?: number; ageMs?: number; status?: number }

function columns(fixes: Fix[]): [Ft1Decoder, (t0: number, kind?: number) => FrameHeader] {
  const decoder = new Ft1Decoder();
  decoder.slot = Uint32Array.from(fixes, (f, i) => f.slot ?? i);
  decoder.lat = Int32Array.from(fixes, (f) => Math.round(f.lat * 1e6));
  decoder.lon = Int32Array.from(fixes, (f) => Math.round(f.lon * 1e6));
  decoder.speed = Uint16Array.from(fixes, (f) => (f.kmh ?? 0) * 10);
  decoder.course = Uint8Array.from(fixes, (f) => f.course ?? 0);
  decoder.dt = Float64Array.from(fixes, (f) => (f.ageMs ?? 0) / 10);
  decoder.status = Uint8Array.from(fixes, (f) => f.status ?? MOVING | VALID);
  return [decoder, (t0, kind = KIND_DELTA) => ({ kind, flags: 6, epoch: 1, seq: 1, t0, n: fixes.length, viewport: null })];
}

function apply(fleet: Fleet, fixes: Fix[], t0 = T0): void {
  const [decoder, head] = columns(fixes);
  fleet.apply(decoder, head(t0), t0, t0);
}

/** Metres on the equator between two Mercator places. */
const metres = (a: number, b: number): number => (b - a) * EARTH_CIRCUMFERENCE_M;

describe('how long a picture holds', () => {
  const view = { x0: 0.4, y0: 0.4, scale: 1e6, w: 400_000, h: 400_000, margin: 0 };
  const fastest = (fixes: Fix[], later: number, scale = 1e6): number => {
    const fleet = new Fleet();
    apply(fleet, fixes);
    fleet.project({ ...view, scale }, T0 + later, T0 + later, new Projection());
    return fleet.fastest;
  };
  it('is told by the fastest vehicle in view, in pixels', () => {
    // 36 km/h = 0.01 m a ms, east; the world is 1e6 px wide.
    const eastward = { lat: 0, lon: 0, kmh: 36, course: 64 };
    expect(fastest([eastward], 1000)).toBeCloseTo((0.01 / EARTH_CIRCUMFERENCE_M) * 1e6, 9);
    expect(fastest([eastward, { ...eastward, kmh: 72 }], 1000)).toBeCloseTo((0.02 / EARTH_CIRCUMFERENCE_M) * 1e6, 9);
    expect(fastest([eastward], 1000, 2e6)).toBeCloseTo((0.02 / EARTH_CIRCUMFERENCE_M) * 1e6, 9);
  });
  it('is for ever when all stand, are overdue, or are out of view', () => {
    expect(fastest([{ lat: 0, lon: 0, kmh: 0 }], 1000)).toBe(0);
    expect(fastest([{ lat: 0, lon: 0, kmh: 36, course: 64 }], 3_600_000)).toBe(0);
    expect(fastest([{ lat: 0, lon: -90, kmh: 36, course: 64 }], 1000)).toBe(0);
  });
});

describe('dead reckoning', () => {
  it('moves a vehicle along its course at its speed', () => {
    const fleet = new Fleet();
    // 36 km/h = 10 m/s, east.
    apply(fleet, [{ lat: 0, lon: 10, kmh: 36, course: 64 }]);
    const x = fleet.reckonX(0, T0, T0), later = fleet.reckonX(0, T0 + 2000, T0 + 2000);
    expect(metres(x, later)).toBeCloseTo(20, 3);
    expect(latOf(fleet.reckonY(0, T0 + 2000, T0 + 2000))).toBeCloseTo(0, 9);
    expect(lonOf(x)).toBeCloseTo(10, 9);
  });

  it('starts from the fix time, not from when the frame came', () => {
    const fleet = new Fleet();
    apply(fleet, [{ lat: 0, lon: 0, kmh: 36, course: 64, ageMs: 1500 }]);
    expect(metres(0.5, fleet.reckonX(0, T0, T0))).toBeCloseTo(15, 3);
  });

  it('stops when the next fix is overdue', () => {
    const fleet = new Fleet();
    for (let k = 0; k < 30; k++) apply(fleet, [{ lat: 0, lon: 0, kmh: 36, course: 64 }], T0 + k * 2000);
    const last = T0 + 29 * 2000;
    const limit = fleet.overdueAfter(0);
    expect(limit).toBeGreaterThan(3_900);
    expect(limit).toBeLessThan(4_200);
    expect(fleet.reckonX(0, last + limit, last + limit)).toBe(fleet.reckonX(0, last + 3_600_000, last + 3_600_000));
  });

  it('does not move a vehicle that stands, is offline, or has an unknown speed', () => {
    const fleet = new Fleet();
    apply(fleet, [
      { lat: 0, lon: 0, kmh: 50, status: VALID }, { lat: 0, lon: 1, kmh: 50, status: MOVING | VALID | 2 << 4 },
      { lat: 0, lon: 2, kmh: 6553.5, status: MOVING | VALID },
    ]);
    for (const slot of [0, 1, 2]) expect(fleet.reckonY(slot, T0 + 2000, T0 + 2000)).toBe(0.5);
  });

  it('eases a correction instead of jumping, and is exact half a second later', () => {
    const fleet = new Fleet();
    apply(fleet, [{ lat: 0, lon: 0, kmh: 36, course: 64 }]);
    const before = fleet.reckonX(0, T0 + 1000, T0 + 1000);
    // In truth it went on 30 m further than reckoned.
    apply(fleet, [{ lat: 0, lon: 40 / EARTH_CIRCUMFERENCE_M * 360, kmh: 36, course: 64 }], T0 + 1000);
    expect(metres(before, fleet.reckonX(0, T0 + 1000, T0 + 1000))).toBeCloseTo(0, 1);
    expect(metres(0.5, fleet.reckonX(0, T0 + 1500, T0 + 1500))).toBeCloseTo(45, 1);
  });

  it('shows a jump of kilometres at once', () => {
    const fleet = new Fleet();
    apply(fleet, [{ lat: 0, lon: 0 }]);
    apply(fleet, [{ lat: 0, lon: 1 }], T0 + 1000);
    expect(lonOf(fleet.reckonX(0, T0 + 1000, T0 + 1000))).toBeCloseTo(1, 6);
  });
});

describe('a fleet', () => {
  it('leaves out impossible places and keeps the rest', () => {
    const fleet = new Fleet();
    apply(fleet, [{ lat: 95, lon: 0 }, { lat: 1, lon: 200 }, { lat: 52, lon: 21 }]);
    expect([fleet.count, fleet.refused]).toEqual([1, 2]);
    expect(latOf(fleet.y[2])).toBeCloseTo(52, 5);
  });

  it('forgets who is not in a new snapshot, once that is complete', () => {
    const fleet = new Fleet();
    apply(fleet, [{ slot: 0, lat: 1, lon: 1 }, { slot: 1, lat: 2, lon: 2 }, { slot: 2, lat: 3, lon: 3 }]);
    fleet.expectSnapshot();
    apply(fleet, [{ slot: 0, lat: 1, lon: 1 }]);
    expect(fleet.count).toBe(3);
    apply(fleet, [{ slot: 2, lat: 3, lon: 3 }]);
    fleet.endSnapshot();
    expect([fleet.count, ...fleet.present.subarray(0, 3)]).toEqual([2, 1, 0, 1]);
  });

  it('forgets removed vehicles and projects only those in the view', () => {
    const fleet = new Fleet();
    const fixes = [{ slot: 3, lat: 0, lon: 0 }, { slot: 9, lat: 0, lon: 0.001 }, { slot: 20_000, lat: 40, lon: 100 }];
    apply(fleet, fixes);
    const view = { x0: 0.4999, y0: 0.4999, scale: 1e6, w: 300, h: 200, margin: 8 };
    const projection = new Projection();
    expect(fleet.project(view, T0, T0, projection)).toBe(2);
    expect([projection.slot[0], projection.px[0], projection.py[0]]).toEqual([3, 99, 99]);
    const [gone, head] = columns([fixes[0]]);
    fleet.remove(gone, head(T0, KIND_REMOVED));
    expect([fleet.count, fleet.project(view, T0, T0, projection), projection.slot[0]]).toEqual([2, 1, 9]);
  });

  it('shows a vehicle on both sides of the 180th meridian', () => {
    const fleet = new Fleet();
    apply(fleet, [{ lat: 0, lon: 179.99 }, { lat: 0, lon: -179.99 }]);
    const projection = new Projection();
    // A view that begins a little west of 180 degrees and runs on beyond it.
    expect(fleet.project({ x0: 0.9999, y0: 0.4999, scale: 1e6, w: 300, h: 300, margin: 8 }, T0, T0, projection)).toBe(2);
  });

  it('grows without losing anybody', () => {
    const fleet = new Fleet();
    apply(fleet, Array.from({ length: 10_000 }, (_, i) => ({ slot: i * 7, lat: 1, lon: i / 100 })));
    expect([fleet.count, fleet.n]).toEqual([10_000, 69_994]);
    expect(lonOf(fleet.x[7 * 1234])).toBeCloseTo(12.34, 5);
  });
});

it.each([
  [0x07, Look.Moving], [0x05, Look.Idle], [0x04, Look.Parked], [0x17, Look.Late], [0x27, Look.Offline], [0x47, Look.Alarm], [0x64, Look.Alarm],
])('status %i looks like %i', (status, look) => {
  expect(lookOf(status)).toBe(look);
});
