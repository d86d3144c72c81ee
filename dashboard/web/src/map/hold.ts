/** How long a picture of the vehicles, moved with the map, can stand for the present. */

import type { View } from '../worker/protocol';

/** Drawn beyond the map's edge, CSS px: hides cut sprites and covers a drag until the next picture. */
export const PAD = 96;
/** How far a picture is moved before another is asked for: what is left of the edge covers the time until that one is there. */
const DRAG_PX = 64;
/** And how long. Each picture is taken over by the page, which has the whole map to move meanwhile. */
const DRAG_MS = 150;

export interface Lasting {
  /** It holds as long as the view does. */
  still: boolean;
  /** How long it holds otherwise, ms. */
  holdMs: number;
}

const sameSize = (a: View, b: View): boolean => a.scale === b.scale && a.w === b.w && a.h === b.h && a.dpr === b.dpr;

/** Whether a picture asked for under one view, so long ago, still does under another. */
export function holds(asked: View, view: View, ageMs: number, { still, holdMs }: Lasting): boolean {
  if (!sameSize(asked, view)) return false;
  const x = Math.abs(view.x0 - asked.x0), y = Math.abs(view.y0 - asked.y0);
  if (x === 0 && y === 0) return still || ageMs < holdMs;
  return ageMs < DRAG_MS && Math.max(x, y) * view.scale < DRAG_PX * view.dpr;
}
