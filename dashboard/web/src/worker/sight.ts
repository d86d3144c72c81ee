/** Which part of the map the server is told that we show: whole tiles, and not at every step of a drag. */

import type { Viewport } from '../wire/types';
import type { View } from './protocol';

/** What the server takes. */
const MAX_TILES = 320;
const MAX_ZOOM = 22;
/** While the map moves it is told so often. */
const EVERY_MS = 300;
/** A box is looked at in so many tiles each way. */
const TILES_OF_A_BOX = 12;
/** Everywhere, in cells small enough to tell where the vehicles are. */
export const WORLD: Viewport = { zoom: 4, x: 0, y: 0, w: 16, h: 16 };

/** The tiles that a view touches: of its own zoom, or of a lower one if they were too many. */
export function tilesOf(view: View): Viewport {
  for (let zoom = Math.min(MAX_ZOOM, Math.max(0, Math.round(view.zoom))); ; zoom--) {
    const world = 2 ** zoom;
    const row = (y: number): number => Math.max(0, Math.min(world - 1, Math.floor(y * world)));
    const west = Math.floor(view.x0 * world), east = Math.floor((view.x0 + view.w / view.scale) * world);
    const y = row(view.y0), h = row(view.y0 + view.h / view.scale) - y + 1;
    // The world repeats.
    const w = Math.min(world, east - west + 1);
    const x = w === world ? 0 : ((west % world) + world) % world;
    if (w * h <= MAX_TILES || zoom === 0) return { zoom, x, y, w, h };
  }
}

export const sameViewport = (a: Viewport, b: Viewport): boolean => a.zoom === b.zoom && a.x === b.x && a.y === b.y && a.w === b.w && a.h === b.h;

export class Sight {
  /** What the server knows, or is about to be told. */
  now: Viewport = WORLD;
  private wanted: Viewport = WORLD;
  private toldAt = -Infinity;
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private tell: (viewport: Viewport) => void) {}

  /** The map shows this. */
  show(view: View): void {
    this.wanted = tilesOf(view);
    if (this.timer !== null || sameViewport(this.wanted, this.now)) return;
    const wait = this.toldAt + EVERY_MS - performance.now();
    if (wait <= 0) this.send();
    else {
      this.timer = setTimeout(() => {
        this.timer = null;
        if (!sameViewport(this.wanted, this.now)) this.send();
      }, wait);
    }
  }

  /** Looks closer at a Mercator box, at once. */
  look([x0, y0, x1, y1]: readonly [number, number, number, number]): void {
    const zoom = Math.min(MAX_ZOOM, Math.floor(Math.log2(TILES_OF_A_BOX / Math.max(x1 - x0, y1 - y0))));
    const scale = 256 * 2 ** zoom;
    this.wanted = tilesOf({ x0, y0, scale, w: (x1 - x0) * scale, h: (y1 - y0) * scale, zoom, dpr: 1 });
    this.send();
  }

  private send(): void {
    this.now = this.wanted;
    this.toldAt = performance.now();
    this.tell(this.now);
  }
}
