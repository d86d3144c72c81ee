/** Where every vehicle is: one column a quantity, one row a slot, with dead reckoning between fixes. */

import { FLAG_FOLLOWED, KIND_SNAPSHOT, SPEED_UNKNOWN, type Ft1Decoder, type FrameHeader } from './ft1';
import { mercatorX, mercatorY, unitsPerMetre } from './mercator';

/** Bits of a vehicle's status byte. */
export const IGNITION = 1;
export const MOVING = 2;
export const VALID = 4;
export const LINK_SHIFT = 4;
export const ALARM = 64;

/** What a vehicle is drawn and filtered as; also the index of its colour. */
export const Look = { Moving: 0, Idle: 1, Parked: 2, Late: 3, Offline: 4, Alarm: 5 } as const;
export type Look = (typeof Look)[keyof typeof Look];
export { LOOKS } from './ft1';

const SINE = new Float64Array(256);
const COSINE = new Float64Array(256);
for (let i = 0; i < 256; i++) {
  SINE[i] = Math.sin((i * Math.PI) / 128);
  COSINE[i] = Math.cos((i * Math.PI) / 128);
}

/** A correction after a new fix is spread over this long, so that vehicles don't jump. */
const EASE_MS = 500;
/** A correction of more than this is a jump, not a drift: it is shown at once. */
const EASE_LIMIT_M = 2_000;
/** A fix is overdue after this many usual periods; then the vehicle stands still. */
const OVERDUE_PERIODS = 2;
const OVERDUE_MIN_MS = 2_500;
const OVERDUE_MAX_MS = 60_000;
const FIRST_PERIOD_MS = 5_000;
/** Why a vehicle is there: it is among those that the map shows, or it is followed wherever it is. */
const IN_VIEW = 1;
const FOLLOWED = 2;

export function lookOf(status: number): Look {
  if (status & ALARM) return Look.Alarm;
  const link = (status >> LINK_SHIFT) & 3;
  if (link >= 2) return Look.Offline;
  if (link === 1) return Look.Late;
  if (status & MOVING) return Look.Moving;
  return status & IGNITION ? Look.Idle : Look.Parked;
}

export class Fleet {
  /** One more than the highest slot in use. */
  n = 0;
  /** Vehicles present. */
  count = 0;
  /** Positions taken over so far. */
  applied = 0;
  /** Records that could not be a place on earth, left out one by one. */
  refused = 0;
  /** Not 0 if the slot has a vehicle: IN_VIEW, FOLLOWED or both. */
  present = new Uint8Array(0);
  /** 1 if the present vehicle passes the filter. */
  shown = new Uint8Array(0);
  /** `shown` of a vehicle that is new, until the filter has been asked. */
  newcomers = 1;
  /** Mercator position at the fix. */
  x = new Float64Array(0);
  y = new Float64Array(0);
  /** Mercator units a ms. */
  vx = new Float64Array(0);
  vy = new Float64Array(0);
  /** What was left between the drawn and the true position when the fix came, shrinking over EASE_MS. */
  ex = new Float32Array(0);
  ey = new Float32Array(0);
  /** Fix time, ms of the sender's clock. */
  fix = new Float64Array(0);
  /** When that fix was taken over, ms of our wall clock. */
  heard = new Float64Array(0);
  /** Usual time between two fixes, ms. */
  period = new Float32Array(0);
  course = new Uint8Array(0);
  /** 0.1 km/h. */
  speed = new Uint16Array(0);
  status = new Uint8Array(0);
  look = new Uint8Array(0);
  /** Whether the last projection found anybody shown on the move, in view or not. */
  active = false;
  /** How fast the fastest vehicle of the last projection's view moves, px a ms of the sender's clock (more by half if diagonally). */
  fastest = 0;
  /** The generation in which the vehicle was last told of. */
  private told = new Uint32Array(0);
  private generation = 0;

  clear(): void {
    this.present.fill(0);
    this.n = 0;
    this.count = 0;
  }

  /** A snapshot is on its way: from now on it is noted who is told of. */
  expectSnapshot(): void {
    this.generation++;
  }

  /** The snapshot is complete: whoever was not told of since is gone. Nobody vanishes before. */
  endSnapshot(): void {
    for (let i = 0; i < this.n; i++) {
      if (this.present[i] & IN_VIEW && this.told[i] !== this.generation) this.takeOut(i, IN_VIEW);
    }
  }

  /** Nobody is followed. */
  endFollowing(): void {
    for (let i = 0; i < this.n; i++) this.takeOut(i, FOLLOWED);
  }

  private takeOut(slot: number, why: number): void {
    if (slot >= this.n || (this.present[slot] & why) === 0) return;
    this.present[slot] &= ~why;
    if (this.present[slot] === 0) this.count--;
  }

  private reserve(slots: number): void {
    if (slots <= this.x.length) return;
    const size = Math.max(4096, 2 ** Math.ceil(Math.log2(slots)));
    const grow = <T extends Float64Array | Float32Array | Uint32Array | Uint16Array | Uint8Array>(old: T, fresh: T): T => {
      fresh.set(old);
      return fresh;
    };
    this.present = grow(this.present, new Uint8Array(size));
    this.shown = grow(this.shown, new Uint8Array(size));
    this.x = grow(this.x, new Float64Array(size));
    this.y = grow(this.y, new Float64Array(size));
    this.vx = grow(this.vx, new Float64Array(size));
    this.vy = grow(this.vy, new Float64Array(size));
    this.ex = grow(this.ex, new Float32Array(size));
    this.ey = grow(this.ey, new Float32Array(size));
    this.fix = grow(this.fix, new Float64Array(size));
    this.heard = grow(this.heard, new Float64Array(size));
    this.period = grow(this.period, new Float32Array(size));
    this.course = grow(this.course, new Uint8Array(size));
    this.speed = grow(this.speed, new Uint16Array(size));
    this.status = grow(this.status, new Uint8Array(size));
    this.look = grow(this.look, new Uint8Array(size));
    this.told = grow(this.told, new Uint32Array(size));
  }

  /** Takes over the decoder's columns. `clock`: the sender's time now; `wall`: ours. Frames never go back in time. */
  apply(columns: Ft1Decoder, frame: FrameHeader, clock: number, wall: number): void {
    const why = frame.flags & FLAG_FOLLOWED ? FOLLOWED : IN_VIEW;
    // Who is followed fits into one frame.
    if (why === FOLLOWED && frame.kind === KIND_SNAPSHOT) this.endFollowing();
    for (let k = 0; k < frame.n; k++) {
      const lat = columns.lat[k] * 1e-6;
      const lon = columns.lon[k] * 1e-6;
      if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 180)) {
        this.refused++;
        continue;
      }
      const slot = columns.slot[k];
      this.reserve(slot + 1);
      const fix = frame.t0 - columns.dt[k] * 10;
      const isNew = this.present[slot] === 0;
      if (why === IN_VIEW) this.told[slot] = this.generation;
      if (isNew) {
        this.shown[slot] = this.newcomers;
        this.count++;
        this.period[slot] = FIRST_PERIOD_MS;
        this.ex[slot] = this.ey[slot] = 0;
        if (slot >= this.n) this.n = slot + 1;
      }
      this.present[slot] |= why;
      this.move(slot, lat, lon, fix, columns.course[k], columns.speed[k], columns.status[k], clock, wall, isNew);
    }
    this.applied += frame.n;
  }

  private move(slot: number, lat: number, lon: number, fix: number, course: number, speed: number, status: number,
    clock: number, wall: number, isNew: boolean): void {
    const x = mercatorX(lon);
    const y = mercatorY(lat);
    const perMetre = unitsPerMetre(Math.max(-85, Math.min(85, lat)));
    const rolls = speed !== SPEED_UNKNOWN && (status & MOVING) !== 0 && (status >> LINK_SHIFT & 3) === 0;
    // 0.1 km/h = 1/36 m/s = 1/36,000 m/ms.
    const v = rolls ? (speed / 36_000) * perMetre : 0;
    const wasX = isNew ? 0 : this.reckonX(slot, clock, wall);
    const wasY = isNew ? 0 : this.reckonY(slot, clock, wall);
    if (!isNew) {
      const gap = fix - this.fix[slot];
      if (gap > 0) this.period[slot] = Math.min(OVERDUE_MAX_MS, this.period[slot] * 0.7 + gap * 0.3);
    }
    this.x[slot] = x;
    this.y[slot] = y;
    this.vx[slot] = v * SINE[course];
    this.vy[slot] = -v * COSINE[course];
    this.fix[slot] = fix;
    this.heard[slot] = wall;
    this.course[slot] = course;
    this.speed[slot] = speed;
    this.status[slot] = status;
    this.look[slot] = lookOf(status);
    this.ex[slot] = this.ey[slot] = 0;
    if (!isNew) {
      const ex = wasX - this.reckonX(slot, clock, wall);
      const ey = wasY - this.reckonY(slot, clock, wall);
      if (Math.abs(ex) + Math.abs(ey) < EASE_LIMIT_M * perMetre) {
        this.ex[slot] = ex;
        this.ey[slot] = ey;
      }
    }
  }

  remove(columns: Ft1Decoder, frame: FrameHeader): void {
    const why = frame.flags & FLAG_FOLLOWED ? FOLLOWED : IN_VIEW;
    for (let k = 0; k < frame.n; k++) this.takeOut(columns.slot[k], why);
  }

  /** How long after its fix a vehicle is assumed to go on, ms. */
  overdueAfter(slot: number): number {
    return Math.min(OVERDUE_MAX_MS, Math.max(OVERDUE_MIN_MS, this.period[slot] * OVERDUE_PERIODS));
  }

  reckonX(slot: number, clock: number, wall: number): number {
    const age = Math.max(0, Math.min(clock - this.fix[slot], this.overdueAfter(slot)));
    const since = wall - this.heard[slot];
    const left = since < EASE_MS ? 1 - since / EASE_MS : 0;
    return this.x[slot] + this.vx[slot] * age + this.ex[slot] * left;
  }

  reckonY(slot: number, clock: number, wall: number): number {
    const age = Math.max(0, Math.min(clock - this.fix[slot], this.overdueAfter(slot)));
    const since = wall - this.heard[slot];
    const left = since < EASE_MS ? 1 - since / EASE_MS : 0;
    return this.y[slot] + this.vy[slot] * age + this.ey[slot] * left;
  }

  /** What `project` notes of motion, where nobody but one vehicle (-1: nobody) is drawn. */
  watchOnly(slot: number, clock: number, scale: number): void {
    const moves = slot >= 0 && clock - this.fix[slot] < this.overdueAfter(slot);
    this.fastest = moves ? (Math.abs(this.vx[slot]) + Math.abs(this.vy[slot])) * scale : 0;
    this.active = this.fastest > 0;
  }

  /** Writes the reckoned positions of the shown vehicles inside a view, in its pixels. Returns how many. */
  project(view: Viewport, clock: number, wall: number, into: Projection): number {
    into.reserve(this.n);
    const { present, shown, x, y, vx, vy, ex, ey, fix, heard, period } = this;
    const { slot, px, py } = into;
    const { x0, y0, scale } = view;
    const margin = view.margin;
    const right = view.w - margin;
    const bottom = view.h - margin;
    let count = 0;
    let active = false;
    let fastest = 0;
    for (let i = 0; i < this.n; i++) {
      if (present[i] === 0 || shown[i] === 0) continue;
      let age = clock - fix[i];
      if (age < 0) age = 0;
      let speed = Math.abs(vx[i]) + Math.abs(vy[i]);
      // Nobody is overdue before.
      if (age >= OVERDUE_MIN_MS) {
        const limit = Math.min(OVERDUE_MAX_MS, Math.max(OVERDUE_MIN_MS, period[i] * OVERDUE_PERIODS));
        if (age >= limit) {
          age = limit;
          speed = 0;
        }
      }
      if (speed !== 0) active = true;
      let X = x[i] + vx[i] * age;
      let Y = y[i] + vy[i] * age;
      const since = wall - heard[i];
      if (since < EASE_MS) {
        active = true;
        const left = 1 - since / EASE_MS;
        X += ex[i] * left;
        Y += ey[i] * left;
        speed += (Math.abs(ex[i]) + Math.abs(ey[i])) / EASE_MS;
      }
      // The world repeats: take the copy that the view shows.
      const east = X - x0;
      const sx = (east - Math.floor(east)) * scale;
      const sy = (Y - y0) * scale;
      if (sx < margin || sy < margin || sx >= right || sy >= bottom) continue;
      slot[count] = i;
      px[count] = sx;
      py[count] = sy;
      count++;
      if (speed > fastest) fastest = speed;
    }
    this.active = active;
    this.fastest = fastest * scale;
    return count;
  }
}

/** What part of the world is drawn: pixel = (mercator - origin) * scale. */
export interface Viewport {
  x0: number;
  y0: number;
  scale: number;
  w: number;
  h: number;
  /** Vehicles nearer than this to the edge are not drawn, so that no sprite is cut or wraps, px. */
  margin: number;
}

/** The vehicles inside a view, in pixels. Filled anew for each frame. */
export class Projection {
  slot = new Uint32Array(0);
  px = new Int32Array(0);
  py = new Int32Array(0);

  reserve(n: number): void {
    if (n <= this.slot.length) return;
    const size = Math.max(4096, 2 ** Math.ceil(Math.log2(n)));
    this.slot = new Uint32Array(size);
    this.px = new Int32Array(size);
    this.py = new Int32Array(size);
  }
}
