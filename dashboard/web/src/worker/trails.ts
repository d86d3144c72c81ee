/** The last places of replayed vehicles, drawn as fading lines. */

import type { Fleet, Viewport } from './fleet';
import { pixel } from './palette';

const LENGTH = 48;

export class Trails {
  private x = new Float64Array(0);
  private y = new Float64Array(0);
  private t = new Float64Array(0);
  private next = new Uint16Array(0);

  clear(): void {
    this.t.fill(0);
  }

  /** Notes where the slots of the last frame are. */
  note(fleet: Fleet, slots: Uint32Array, n: number): void {
    if (this.next.length < fleet.n) {
      const size = 2 ** Math.ceil(Math.log2(fleet.n));
      const grow = (old: Float64Array): Float64Array<ArrayBuffer> => {
        const fresh = new Float64Array(size * LENGTH);
        fresh.set(old);
        return fresh;
      };
      this.x = grow(this.x);
      this.y = grow(this.y);
      this.t = grow(this.t);
      const next = new Uint16Array(size);
      next.set(this.next);
      this.next = next;
    }
    for (let k = 0; k < n; k++) {
      const slot = slots[k];
      if (slot >= fleet.n) continue;
      const last = slot * LENGTH + ((this.next[slot] + LENGTH - 1) % LENGTH);
      if (this.t[last] === fleet.fix[slot]) continue;
      const at = slot * LENGTH + this.next[slot];
      this.x[at] = fleet.x[slot];
      this.y[at] = fleet.y[slot];
      this.t[at] = fleet.fix[slot];
      this.next[slot] = (this.next[slot] + 1) % LENGTH;
    }
  }

  /** Draws the trail of one vehicle up to where it is now. `span`: how far back, ms of the replay's clock. */
  draw(buffer: Uint32Array, view: Viewport, slot: number, toX: number, toY: number, clock: number, span: number,
    rgb: readonly [number, number, number]): void {
    if (slot >= this.next.length) return;
    let x1 = toX, y1 = toY;
    for (let back = 1; back <= LENGTH; back++) {
      const at = slot * LENGTH + ((this.next[slot] + LENGTH - back) % LENGTH);
      const t = this.t[at];
      if (t === 0 || t > clock + 1 || clock - t > span) return;
      // The world repeats: the copy next to where the vehicle went from there.
      const near = (this.x[at] - view.x0) * view.scale;
      const x = near + Math.round((x1 - near) / view.scale) * view.scale, y = (this.y[at] - view.y0) * view.scale;
      const alpha = Math.round(210 * (1 - (clock - t) / span));
      line(buffer, view.w, view.h, x1, y1, x, y, pixel(rgb[0], rgb[1], rgb[2], Math.max(24, alpha)));
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
