/** The colours of vehicles, as pixels. Told apart by shape too: arrow, dot, ring. */

import type { Theme } from './protocol';

/** R, G, B by Look: moving, idle, parked, late, offline, alarm. */
export const LOOK_RGB: readonly (readonly [number, number, number])[] = [
  [20, 118, 204],
  [222, 142, 8],
  [92, 107, 128],
  [142, 104, 190],
  [150, 156, 165],
  [214, 40, 57],
];
/** Replayed vehicles, so that nobody takes the past for the present. */
export const REPLAY_RGB: readonly [number, number, number] = [122, 46, 184];

export const OUTLINE_RGB: Record<Theme, readonly [number, number, number]> = {
  light: [255, 255, 255],
  dark: [12, 17, 24],
};

/** One pixel as ImageData keeps it (not premultiplied) on a little-endian machine. */
export const pixel = (r: number, g: number, b: number, a = 255): number =>
  ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
