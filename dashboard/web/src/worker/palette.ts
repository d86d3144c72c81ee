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

/** By speed, slow to fast, and below how many km/h each but the last ends. */
export const SPEED_RGB: readonly (readonly [number, number, number])[] = [[92, 107, 128], [49, 54, 149], [69, 138, 191], [64, 160, 110], [236, 148, 20], [200, 30, 40]];
export const SPEED_LIMITS_KMH: readonly number[] = [3, 30, 50, 80, 110];
/** Index of the colour of a speed in 0.1 km/h. */
export function speedColour(speed: number): number {
  for (let i = 0; i < SPEED_LIMITS_KMH.length; i++) if (speed < SPEED_LIMITS_KMH[i] * 10) return i;
  return SPEED_LIMITS_KMH.length;
}

export const OUTLINE_RGB: Record<Theme, readonly [number, number, number]> = {
  light: [255, 255, 255],
  dark: [12, 17, 24],
};

/** One pixel as ImageData keeps it (not premultiplied) on a little-endian machine. */
export const pixel = (r: number, g: number, b: number, a = 255): number =>
  ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
