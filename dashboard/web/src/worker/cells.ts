/** Counts vehicles that can't be told apart: cells of a grid fixed to the ground, with their worst status. */

import { LOOKS, Look } from './fleet';
import type { Projection, Viewport } from './fleet';

/** Worst last. */
const SEVERITY: Record<number, number> = {
  [Look.Parked]: 0, [Look.Idle]: 1, [Look.Moving]: 2, [Look.Offline]: 3, [Look.Late]: 4, [Look.Alarm]: 5,
};

/** What is drawn of a cell. */
export interface Mark {
  /** Middle of the cell's vehicles, moved so that its mark stays inside the cell, px. */
  x: number;
  y: number;
  /** Of the mark, px. */
  radius: number;
  count: number;
  /** The look that most have. */
  usual: number;
  worst: number;
}

export interface Cell extends Mark {
  /** The vehicle, if it is the only one. */
  only: number;
}

/** Edge of the squares by which crowding is measured, CSS px: an arrow's size. */
const SQUARE_PX = 16;
/** More vehicles than this per occupied square (on average) are a blot. */
const DENSE = 5;
const SPARSE = 3.5;
/** Nearer than this zoom, and for fewer than so many, vehicles are always drawn one by one. */
const MAX_ZOOM = 12;
const LEAST_VEHICLES = 200;

/** Radius of a mark as a share of the cell's edge: grows with the count, and neighbours never overlap. */
export const radiusShare = (n: number): number => Math.min(0.375, 0.14 + Math.log2(n) * 0.025);

/** In which column or row each pixel of a side is: looked up, as vehicles are many more than pixels of a side. */
class Steps {
  private steps = new Int32Array(0);

  /** Of so many pixels, shifted; each step counts as much as `weight`. Good until it is asked for again. */
  of(pixels: number, shift: number, edge: number, weight: number): Int32Array {
    if (this.steps.length < pixels) this.steps = new Int32Array(pixels);
    for (let p = 0; p < pixels; p++) this.steps[p] = Math.floor((p + shift) / edge) * weight;
    return this.steps;
  }
}

export class Cells {
  private columns = 0;
  private touched: number[] = [];
  private count = new Uint32Array(0);
  private sumX = new Float64Array(0);
  private sumY = new Float64Array(0);
  private looks = new Uint32Array(0);
  private only = new Uint32Array(0);
  private occupied = new Uint8Array(0);
  private dense = false;
  private across = new Steps();
  private down = new Steps();

  /** Vehicles per occupied square: 1 if each has its own. */
  crowding(projection: Projection, n: number, view: Viewport & { dpr: number }): number {
    const square = SQUARE_PX * view.dpr;
    const columns = Math.ceil(view.w / square) + 1;
    const size = columns * (Math.ceil(view.h / square) + 1);
    if (this.occupied.length < size) this.occupied = new Uint8Array(size);
    else this.occupied.fill(0);
    let squares = 0;
    const { occupied } = this, { px, py } = projection;
    const column = this.across.of(view.w, 0, square, 1), row = this.down.of(view.h, 0, square, columns);
    for (let k = 0; k < n; k++) {
      const at = row[py[k]] + column[px[k]];
      squares += 1 - occupied[at];
      occupied[at] = 1;
    }
    return n / Math.max(1, squares);
  }

  /** Whether so many so crowded vehicles are a blot; with hysteresis, so that it does not flicker. */
  isDense(n: number, crowding: number, zoom: number): boolean {
    return (this.dense = zoom < MAX_ZOOM && n >= LEAST_VEHICLES && crowding > (this.dense ? SPARSE : DENSE));
  }

  gather(projection: Projection, n: number, looks: Uint8Array, view: Viewport, edge: number): Cell[] {
    // The grid is fixed to the ground: a pan moves the cells, it does not regroup them.
    const shiftX = ((view.x0 * view.scale) % edge + edge) % edge;
    const shiftY = ((view.y0 * view.scale) % edge + edge) % edge;
    this.columns = Math.ceil(view.w / edge) + 2;
    const size = this.columns * (Math.ceil(view.h / edge) + 2);
    if (this.count.length < size) {
      this.count = new Uint32Array(size);
      this.sumX = new Float64Array(size);
      this.sumY = new Float64Array(size);
      this.looks = new Uint32Array(size * LOOKS);
      this.only = new Uint32Array(size);
    }
    for (const at of this.touched) {
      this.count[at] = 0;
      this.sumX[at] = this.sumY[at] = 0;
      this.looks.fill(0, at * LOOKS, (at + 1) * LOOKS);
    }
    this.touched.length = 0;
    const { count, sumX, sumY, only, columns, touched, looks: counted } = this;
    const { px, py, slot: slots } = projection;
    const column = this.across.of(view.w, shiftX, edge, 1), row = this.down.of(view.h, shiftY, edge, columns);
    for (let k = 0; k < n; k++) {
      const x = px[k], y = py[k];
      const at = row[y] + column[x];
      const slot = slots[k];
      if (count[at]++ === 0) touched.push(at);
      counted[at * LOOKS + looks[slot]]++;
      sumX[at] += x;
      sumY[at] += y;
      only[at] = slot;
    }
    return touched.map((at) => {
      const n = count[at];
      const radius = n === 1 ? 0 : edge * radiusShare(n);
      const left = (at % columns) * edge - shiftX, top = Math.floor(at / columns) * edge - shiftY;
      const within = (v: number, from: number): number => Math.round(Math.max(from + radius, Math.min(from + edge - radius, v)));
      return {
        x: within(sumX[at] / n, left), y: within(sumY[at] / n, top), radius, count: n, only: only[at], ...summary(counted, at * LOOKS),
      };
    });
  }
}

/** The look that most have, and the worst, of the counts of looks that begin at a place. */
export function summary(looks: ArrayLike<number>, from: number): { usual: number; worst: number } {
  let usual = 0, worst = -1;
  for (let look = 0; look < LOOKS; look++) {
    const n = looks[from + look];
    if (n > looks[from + usual]) usual = look;
    if (n > 0 && (worst < 0 || SEVERITY[look] > SEVERITY[worst])) worst = look;
  }
  return { usual, worst };
}
