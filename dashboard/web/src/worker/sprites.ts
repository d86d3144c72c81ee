/** Vehicle pictures as lists of pixels, ready to be copied into a buffer of a given width. */

import { Look } from './fleet';
import { LOOK_RGB, OUTLINE_RGB, REPLAY_RGB, SPEED_RGB, pixel } from './palette';
import type { Theme } from './protocol';

export const HEADINGS = 64;
/** Kinds of pictures of a colour: arrows by heading, then these. */
const DOT = HEADINGS, RING = HEADINGS + 1, KINDS = HEADINGS + 2;
/** Colours: one a Look, then the replayed, then the speeds. */
export const REPLAY_COLOUR = LOOK_RGB.length;
export const SPEED_COLOURS = REPLAY_COLOUR + 1;
const COLOURS = [...LOOK_RGB, REPLAY_RGB, ...SPEED_RGB];

/** Offsets from the vehicle's pixel. Whole pixels are written, partial ones only where nothing is yet. */
export interface Sprite {
  whole: Int32Array;
  wholeColour: Uint32Array;
  partial: Int32Array;
  partialColour: Uint32Array;
}

/** Signed distance (px, negative inside) from the point to the shape. */
type Shape = (u: number, v: number) => number;

/** An arrow head pointing up, `r` px from centre to tip. */
const arrow = (r: number): Shape => (u, v) => {
  const side = (Math.abs(u) * 1 - (v + r) * 0.5) / Math.hypot(1, 0.5);
  const tail = v - r * 0.72 + (r * 0.62 - Math.abs(u)) * 0.55;
  return Math.max(side, tail);
};
const dot = (r: number): Shape => (u, v) => Math.hypot(u, v) - r;
const ring = (r: number): Shape => (u, v) => Math.abs(Math.hypot(u, v) - r * 0.75) - r * 0.34;

const mix = (a: readonly [number, number, number], b: readonly [number, number, number], t: number): [number, number, number] => [
  Math.round(a[0] + (b[0] - a[0]) * t), Math.round(a[1] + (b[1] - a[1]) * t), Math.round(a[2] + (b[2] - a[2]) * t),
];
const clamp01 = (v: number): number => (v < 0 ? 0 : v > 1 ? 1 : v);

/** Draws a shape with an outline, smoothed over one pixel. */
function rasterise(shape: Shape, reach: number, stride: number, angle: number, fill: readonly [number, number, number],
  line: readonly [number, number, number], lineWidth: number): Sprite {
  const whole: number[] = [], wholeColour: number[] = [], partial: number[] = [], partialColour: number[] = [];
  const sine = Math.sin(angle), cosine = Math.cos(angle);
  const span = Math.ceil(reach + lineWidth + 1);
  for (let y = -span; y <= span; y++) {
    for (let x = -span; x <= span; x++) {
      const distance = shape(x * cosine + y * sine, -x * sine + y * cosine);
      const covered = clamp01(lineWidth + 0.5 - distance);
      if (covered < 0.04) continue;
      const [r, g, b] = mix(line, fill, clamp01(0.5 - distance));
      const offset = y * stride + x;
      if (covered > 0.96) {
        whole.push(offset);
        wholeColour.push(pixel(r, g, b));
      } else {
        partial.push(offset);
        partialColour.push(pixel(r, g, b, Math.round(covered * 255)));
      }
    }
  }
  return {
    whole: Int32Array.from(whole), wholeColour: Uint32Array.from(wholeColour),
    partial: Int32Array.from(partial), partialColour: Uint32Array.from(partialColour),
  };
}

/** Pictures of one size, each drawn when it is first wanted: arrows by colour and heading, dots and rings by colour. */
export class SpriteSet {
  private readonly drawn: (Sprite | undefined)[] = [];
  private readonly lineWidth: number;

  /** `size`: px from centre to the arrow's tip. `stride`: pixels a row of the buffer. */
  constructor(readonly size: number, readonly stride: number, readonly theme: Theme) {
    this.lineWidth = Math.max(0.8, size * 0.14);
  }

  of(look: number, course: number, colour: number): Sprite {
    switch (look) {
      case Look.Moving:
      case Look.Alarm:
      case Look.Late:
        return this.picture(colour, ((course + 2) >> 2) & (HEADINGS - 1));
      case Look.Offline:
        return this.picture(colour, RING);
      default:
        return this.picture(colour, DOT);
    }
  }

  private picture(colour: number, kind: number): Sprite {
    return (this.drawn[colour * KINDS + kind] ??= this.draw(colour, kind));
  }

  private draw(colour: number, kind: number): Sprite {
    const { size } = this;
    const shape = kind === DOT ? dot(size * 0.5) : kind === RING ? ring(size * 0.5) : arrow(size);
    const angle = kind < HEADINGS ? (kind / HEADINGS) * 2 * Math.PI : 0;
    return rasterise(shape, size, this.stride, angle, COLOURS[colour], OUTLINE_RGB[this.theme], this.lineWidth);
  }
}

/** Source-over of one not premultiplied pixel onto another. */
export function blend(under: number, over: number): number {
  const oa = over >>> 24;
  const ua = under >>> 24;
  if (oa === 255 || ua === 0) return over;
  if (oa === 0) return under;
  const keep = ua * (255 - oa) / 255;
  const a = oa + keep;
  const channel = (shift: number): number =>
    Math.round((((over >>> shift) & 255) * oa + ((under >>> shift) & 255) * keep) / a);
  return pixel(channel(0), channel(8), channel(16), Math.round(a));
}

/** A picture made of rows of pixels: a label, a count. */
export interface Stamp { w: number; h: number; px: Uint32Array }

/** Copies a stamp with its top left at (x, y), cut at the buffer's edges. */
export function putStamp(buffer: Uint32Array, width: number, height: number, stamp: Stamp, x: number, y: number): void {
  const left = Math.max(0, -x), right = Math.min(stamp.w, width - x);
  const top = Math.max(0, -y), bottom = Math.min(stamp.h, height - y);
  for (let row = top; row < bottom; row++) {
    let from = row * stamp.w + left;
    let to = (y + row) * width + x + left;
    for (let col = left; col < right; col++, from++, to++) {
      const over = stamp.px[from];
      if (over !== 0) buffer[to] = blend(buffer[to], over);
    }
  }
}

export function putSprite(buffer: Uint32Array, at: number, sprite: Sprite): void {
  const { whole, wholeColour, partial, partialColour } = sprite;
  for (let k = 0; k < whole.length; k++) buffer[at + whole[k]] = wholeColour[k];
  for (let k = 0; k < partial.length; k++) {
    const to = at + partial[k];
    if (buffer[to] === 0) buffer[to] = partialColour[k];
  }
}
