/** Cells that the server has counted: where vehicles are too many to be told of one by one. */

import type { Viewport } from '../wire/types';
import { summary } from './cells';
import { CELLS_PER_TILE, CELL_SPEED_UNKNOWN, FLAG_FULL, LOOKS, type FrameHeader, type Ft1Decoder } from './ft1';

/** Zooms are below 2^5 and cells of a zoom below 2^24, so that both coordinates fit into one exact number. */
const ROW = 2 ** 24;
/** A box of fewer cells may be much smaller than it seems, as long as cells are not of some metres. */
const CELLS_OF_A_BOX = 8;
const DEEP = 16;

export interface CountedCell {
  /** Mercator corner in the north-west. */
  left: number;
  top: number;
  /** Mercator mean of its vehicles. */
  x: number;
  y: number;
  count: number;
  /** Vehicles by look. */
  looks: readonly number[];
  /** Mean, km/h; null if nobody tells it. */
  speedKmh: number | null;
  /** 360/256 degree, of a vehicle that is alone. */
  course: number;
}

/** What passes the filter of a cell. */
export interface PassingCell extends CountedCell {
  /** The look that most of them have, and the worst. */
  usual: number;
  worst: number;
  /** It is the only vehicle of the cell, filter or not: its course and speed are known. */
  alone: boolean;
}

export class CountedCells {
  /** Null: vehicles are told of one by one. */
  viewport: Viewport | null = null;
  /** Mercator edge of a cell. */
  edge = 0;
  /** Looks to show; all if empty. */
  wanted: readonly number[] = [];
  private cells = new Map<number, CountedCell>();

  get size(): number {
    return this.cells.size;
  }

  /** What passes, of cells where somebody does. Exact, but for the place of the mark: that is the mean of all in the cell. */
  *passing(): Iterable<PassingCell> {
    const { wanted } = this;
    for (const cell of this.cells.values()) {
      const looks = wanted.length === 0 ? cell.looks : cell.looks.map((n, look) => (wanted.includes(look) ? n : 0));
      const count = looks.reduce((sum, n) => sum + n, 0);
      if (count === 0) continue;
      // A mean of all says nothing of some.
      const speedKmh = count === cell.count ? cell.speedKmh : null;
      yield { ...cell, looks, count, speedKmh, ...summary(looks, 0), alone: cell.count === 1 };
    }
  }

  clear(): void {
    this.viewport = null;
    this.cells.clear();
  }

  /** Takes over what the decoder has just read. */
  take(columns: Ft1Decoder, frame: FrameHeader): void {
    const { viewport } = frame;
    if (!viewport || viewport.w === 0 || viewport.h === 0) {
      this.clear();
      return;
    }
    if (frame.flags & FLAG_FULL || this.viewport?.zoom !== viewport.zoom) this.cells.clear();
    else this.keep(viewport);
    this.viewport = viewport;
    const wide = viewport.w * CELLS_PER_TILE, world = 2 ** viewport.zoom * CELLS_PER_TILE;
    this.edge = 1 / world;
    for (let k = 0; k < frame.n; k++) {
      const column = (viewport.x * CELLS_PER_TILE + (columns.slot[k] % wide)) % world;
      const row = viewport.y * CELLS_PER_TILE + Math.floor(columns.slot[k] / wide);
      const key = row * ROW + column;
      if (columns.count[k] === 0) {
        this.cells.delete(key);
        continue;
      }
      const speed = columns.cellSpeed[k];
      // Sixteenths are told rounded down.
      const inCell = (sixteenths: number): number => (sixteenths + 0.5) / 16;
      this.cells.set(key, {
        left: column * this.edge, top: row * this.edge,
        x: (column + inCell(columns.place[k] & 15)) * this.edge, y: (row + inCell(columns.place[k] >> 4)) * this.edge,
        count: columns.count[k], looks: Array.from(columns.lookCounts.subarray(k * LOOKS, (k + 1) * LOOKS)),
        speedKmh: speed === CELL_SPEED_UNKNOWN ? null : speed, course: columns.course[k],
      });
    }
  }

  /** Forgets what is outside. */
  private keep({ x, y, w, h, zoom }: Viewport): void {
    const world = 2 ** zoom * CELLS_PER_TILE;
    for (const key of this.cells.keys()) {
      const east = (key % ROW) - x * CELLS_PER_TILE, south = Math.floor(key / ROW) - y * CELLS_PER_TILE;
      if ((east + world) % world >= w * CELLS_PER_TILE || south < 0 || south >= h * CELLS_PER_TILE) this.cells.delete(key);
    }
  }

  /** Whether cells are small enough to tell how large a box is. */
  resolves([x0, y0, x1, y1]: readonly [number, number, number, number]): boolean {
    return Math.max(x1 - x0, y1 - y0) >= CELLS_OF_A_BOX * this.edge || (this.viewport?.zoom ?? 0) >= DEEP;
  }

  /** Where the vehicles are, as a Mercator box of whole cells; the outermost fiftieth on each side don't count. */
  extent(): [number, number, number, number] | null {
    const cells = [...this.cells.values()];
    if (cells.length === 0) return null;
    const share = cells.reduce((sum, cell) => sum + cell.count, 0) / 50;
    const along = (of: (cell: CountedCell) => number, sign: 1 | -1): number => {
      let left = share;
      const ordered = cells.sort((a, b) => sign * (of(a) - of(b)));
      const end = ordered.find((cell) => (left -= cell.count) <= 0) ?? ordered[ordered.length - 1];
      return of(end) + (sign < 0 ? this.edge : 0);
    };
    const left = (cell: CountedCell): number => cell.left, top = (cell: CountedCell): number => cell.top;
    return [along(left, 1), along(top, 1), along(left, -1), along(top, -1)];
  }
}
