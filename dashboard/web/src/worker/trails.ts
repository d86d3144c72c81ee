/** The last places of replayed vehicles, drawn as fading lines. */

import type { Fleet, Viewport } from './fleet';
import { SPEED_UNKNOWN } from './ft1';
import { REPLAY_RGB, SPEED_RGB, pixel, speedColour } from './palette';

/** Points of one vehicle: its trail has no finer parts than a so-manieth, however long it is. Fewer if vehicles are many. */
const MOST = 512;
const LEAST = 48;
/** Of all vehicles together, as long as each has the least. */
const POINTS = 2 ** 20;
/** Of all vehicles together in one picture. */
const DRAWN = 200_000;

export class Trails {
  private x = new Float64Array(0);
  private y = new Float64Array(0);
  private t = new Float64Array(0);
  /** 0.1 km/h, on the way there. */
  private speed = new Uint16Array(0);
  private next = new Uint16Array(0);
  /** Points of one vehicle. */
  private length = MOST;

  clear(): void {
    this.t.fill(0);
  }

  /** Every so many points are drawn of each of `n` vehicles. */
  stride(n: number): number {
    return Math.max(1, Math.ceil((n * this.length) / DRAWN));
  }

  private reserve(slots: number): void {
    const { x, y, t, speed, next, length } = this;
    if (slots <= next.length) return;
    const size = 2 ** Math.ceil(Math.log2(slots));
    this.length = Math.max(LEAST, Math.min(MOST, Math.floor(POINTS / size)));
    this.x = new Float64Array(size * this.length);
    this.y = new Float64Array(size * this.length);
    this.t = new Float64Array(size * this.length);
    this.speed = new Uint16Array(size * this.length);
    this.next = new Uint16Array(size);
    const kept = Math.min(length, this.length);
    for (let slot = 0; slot < next.length; slot++) {
      for (let k = 0; k < kept; k++) {
        const from = slot * length + ((next[slot] + length - kept + k) % length), to = slot * this.length + k;
        this.x[to] = x[from];
        this.y[to] = y[from];
        this.t[to] = t[from];
        this.speed[to] = speed[from];
      }
      this.next[slot] = kept % this.length;
    }
  }

  /** Notes where the slots of the last frame are. `span`: how far back trails shall go, ms. */
  note(fleet: Pick<Fleet, 'n' | 'fix' | 'x' | 'y' | 'speed'>, slots: Uint32Array, n: number, span: number): void {
    this.reserve(fleet.n);
    const { length } = this;
    const apart = span / length;
    for (let k = 0; k < n; k++) {
      const slot = slots[k];
      if (slot >= fleet.n) continue;
      const first = slot * length, next = this.next[slot];
      const last = first + ((next + length - 1) % length), before = first + ((next + length - 2) % length);
      if (this.t[last] === fleet.fix[slot]) continue;
      // The newest point moves along until it is far enough from the one before.
      const moves = this.t[before] !== 0 && this.t[last] - this.t[before] < apart;
      const at = moves ? last : first + next;
      this.x[at] = fleet.x[slot];
      this.y[at] = fleet.y[slot];
      this.t[at] = fleet.fix[slot];
      this.speed[at] = fleet.speed[slot];
      if (!moves) this.next[slot] = (next + 1) % length;
    }
  }

  /** Draws the trail of one vehicle up to where it is now. `span`: how far back, ms of the replay's clock; `bySpeed`: coloured so. */
  draw(buffer: Uint32Array, view: Viewport, slot: number, toX: number, toY: number, clock: number, span: number,
    bySpeed: boolean, stride: number): void {
    if (slot >= this.next.length) return;
    const { length } = this;
    let x1 = toX, y1 = toY;
    let speed = this.speed[slot * length + ((this.next[slot] + length - 1) % length)];
    for (let back = 1; back <= length; back++) {
      const place = (this.next[slot] + length - back) % length;
      const at = slot * length + place;
      const t = this.t[at];
      if (t === 0 || t > clock + 1 || clock - t > span) return;
      // Counted by its place, not from the end: the same points in each picture.
      if (place % stride !== 0) continue;
      // The world repeats: the copy next to where the vehicle went from there.
      const near = (this.x[at] - view.x0) * view.scale;
      const x = near + Math.round((x1 - near) / view.scale) * view.scale, y = (this.y[at] - view.y0) * view.scale;
      const alpha = Math.round(210 * (1 - (clock - t) / span));
      // Each part has the colour of its later end.
      const [r, g, b] = bySpeed && speed !== SPEED_UNKNOWN ? SPEED_RGB[speedColour(speed)] : REPLAY_RGB;
      line(buffer, view.w, view.h, x1, y1, x, y, pixel(r, g, b, Math.max(24, alpha)));
      speed = this.speed[at];
      x1 = x;
      y1 = y;
    }
  }
}

/** A line of 2 px, cut at the edges. */
export function line(buffer: Uint32Array, w: number, h: number, x0: number, y0: number, x1: number, y1: number, colour: number): void {
  const cut = clip(x0, y0, x1, y1, w - 2, h - 2);
  if (!cut) return;
  const [ax, ay, bx, by] = cut;
  const steps = Math.max(1, Math.ceil(Math.max(Math.abs(bx - ax), Math.abs(by - ay))));
  for (let k = 0; k <= steps; k++) {
    const at = Math.floor(ay + ((by - ay) * k) / steps) * w + Math.floor(ax + ((bx - ax) * k) / steps);
    buffer[at] = colour;
    buffer[at + 1] = colour;
    buffer[at + w] = colour;
  }
}

/** Liang-Barsky: the part of a segment inside [0, w] x [0, h]. */
export function clip(x0: number, y0: number, x1: number, y1: number, w: number, h: number): [number, number, number, number] | null {
  let from = 0, to = 1;
  const dx = x1 - x0, dy = y1 - y0;
  for (const [p, q] of [[-dx, x0], [dx, w - x0], [-dy, y0], [dy, h - y0]]) {
    if (p === 0) {
      if (q < 0) return null;
    } else {
      const r = q / p;
      if (p < 0) from = Math.max(from, r);
      else to = Math.min(to, r);
      if (from > to) return null;
    }
  }
  return [x0 + from * dx, y0 + from * dy, x0 + to * dx, y0 + to * dy];
}
