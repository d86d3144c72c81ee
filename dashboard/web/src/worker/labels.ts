/** Texts as stamps, and where they may stand without covering each other. */

import type { Mark } from './cells';
import { Look } from './fleet';
import { LOOK_RGB, pixel } from './palette';
import type { Theme } from './protocol';
import type { Stamp } from './sprites';

/** Stamps are kept, the oldest leave. */
const KEPT = 3000;

export class StampCache {
  private stamps = new Map<string, Stamp>();
  private canvas = new OffscreenCanvas(256, 64);
  private context = this.canvas.getContext('2d', { willReadFrequently: true });

  private kept(key: string, make: () => Stamp): Stamp {
    let stamp = this.stamps.get(key);
    if (!stamp) {
      stamp = make();
      this.stamps.set(key, stamp);
      if (this.stamps.size > KEPT) {
        const oldest = this.stamps.keys().next();
        if (!oldest.done) this.stamps.delete(oldest.value);
      }
    }
    return stamp;
  }

  /** A vehicle's name on a plate. */
  label(text: string, theme: Theme, dpr: number, strong: boolean): Stamp {
    return this.kept(`${theme}${strong ? '!' : ''}${dpr}${text}`, () => this.draw((c) => {
      c.font = `${strong ? 600 : 500} ${11 * dpr}px system-ui, sans-serif`;
      const w = Math.ceil(c.measureText(text).width + 8 * dpr), h = Math.round(16 * dpr);
      return { w: Math.min(w, Math.round(220 * dpr)), h };
    }, (c, w, h) => {
      c.fillStyle = theme === 'dark' ? 'rgba(17,24,33,.86)' : 'rgba(255,255,255,.9)';
      c.beginPath();
      c.roundRect(0, 0, w, h, 3 * dpr);
      c.fill();
      c.font = `${strong ? 600 : 500} ${11 * dpr}px system-ui, sans-serif`;
      c.fillStyle = theme === 'dark' ? '#e7edf5' : '#1a2430';
      c.textBaseline = 'middle';
      c.fillText(text, 4 * dpr, h / 2 + 0.5 * dpr);
    }));
  }

  /** A counted cell: a disc in the colour of what most of its vehicles are (or a given one), with a rim that shows the worst. */
  count({ count, usual, worst, radius }: Mark, theme: Theme, dpr: number, rgb: readonly number[] = LOOK_RGB[usual]): Stamp {
    const text = count < 1000 ? String(count) : count < 10_000 ? `${(count / 1000).toFixed(1)}k` : `${Math.round(count / 1000)}k`;
    return this.kept(`#${theme}${dpr}${rgb.join()}${worst}/${text}/${Math.round(radius)}`, () => {
      const edge = Math.ceil(radius) * 2 + 2;
      const colour = (look: number): string => `rgb(${LOOK_RGB[look].join(',')})`;
      return this.draw(() => ({ w: edge, h: edge }), (c) => {
        const disc = (r: number, fill: string): void => {
          c.beginPath();
          c.arc(edge / 2, edge / 2, r, 0, 2 * Math.PI);
          c.fillStyle = fill;
          c.fill();
        };
        const alarming = worst === Look.Alarm || worst === Look.Late;
        disc(radius, alarming ? colour(worst) : theme === 'dark' ? '#0c1118' : '#fff');
        if (alarming) disc(radius - 2.5 * dpr, theme === 'dark' ? '#0c1118' : '#fff');
        disc(radius - (alarming ? 4 : 1.5) * dpr, `rgb(${rgb.join(',')})`);
        c.fillStyle = '#fff';
        c.font = `600 ${(text.length > 3 ? 10 : 11) * dpr}px system-ui, sans-serif`;
        c.textAlign = 'center';
        c.textBaseline = 'middle';
        c.fillText(text, edge / 2, edge / 2 + 0.5 * dpr);
        c.textAlign = 'left';
      });
    });
  }

  private draw(measure: (c: OffscreenCanvasRenderingContext2D) => { w: number; h: number },
    paint: (c: OffscreenCanvasRenderingContext2D, w: number, h: number) => void): Stamp {
    const c = this.context;
    // Without a 2D context (no memory left) a stamp is a dark block: seen, not crashed.
    if (!c) return { w: 8, h: 8, px: new Uint32Array(64).fill(pixel(60, 60, 60)) };
    const { w, h } = measure(c);
    if (this.canvas.width < w || this.canvas.height < h) {
      this.canvas.width = Math.max(this.canvas.width, w);
      this.canvas.height = Math.max(this.canvas.height, h);
    }
    c.clearRect(0, 0, w, h);
    paint(c, w, h);
    return { w, h, px: new Uint32Array(c.getImageData(0, 0, w, h).data.buffer) };
  }
}

/** Ground already taken by labels, in squares of 4 px. */
export class Occupancy {
  private columns = 0;
  private rows = 0;
  private taken = new Uint8Array(0);

  reset(w: number, h: number): void {
    this.columns = (w >> 2) + 1;
    this.rows = (h >> 2) + 1;
    const size = this.columns * this.rows;
    if (this.taken.length < size) this.taken = new Uint8Array(size);
    else this.taken.fill(0);
  }

  /** Takes what is inside of the rectangle, free or not. */
  block(x: number, y: number, w: number, h: number): void {
    const c0 = Math.max(0, x >> 2), c1 = Math.min(this.columns - 1, (x + w) >> 2);
    if (c0 > c1) return;
    for (let r = Math.max(0, y >> 2); r <= Math.min(this.rows - 1, (y + h) >> 2); r++) this.taken.fill(1, r * this.columns + c0, r * this.columns + c1 + 1);
  }

  /** Takes the rectangle if it is free and inside. */
  take(x: number, y: number, w: number, h: number): boolean {
    const c0 = x >> 2, c1 = (x + w) >> 2, r0 = y >> 2, r1 = (y + h) >> 2;
    if (c0 < 0 || r0 < 0 || c1 >= this.columns || r1 >= this.rows) return false;
    for (let r = r0; r <= r1; r++) {
      for (let c = c0; c <= c1; c++) if (this.taken[r * this.columns + c]) return false;
    }
    for (let r = r0; r <= r1; r++) this.taken.fill(1, r * this.columns + c0, r * this.columns + c1 + 1);
    return true;
  }
}
