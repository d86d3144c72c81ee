/** Whether what was drawn beyond the map's edge still covers the map. */

/** What a map shows, in its layers' pixels, and where those begin. */
export interface Ground {
  zoom: number;
  originX: number;
  originY: number;
  x: number;
  y: number;
  w: number;
  h: number;
}

/** `padding`: drawn on each side, as a part of the map's size. */
export function stillCovers(drawn: Ground, now: Ground, padding: number): boolean {
  // Otherwise a place has other pixels.
  if (drawn.zoom !== now.zoom || drawn.originX !== now.originX || drawn.originY !== now.originY) return false;
  if (drawn.w !== now.w || drawn.h !== now.h) return false;
  // Where it was drawn is rounded.
  return Math.abs(now.x - drawn.x) <= drawn.w * padding - 1 && Math.abs(now.y - drawn.y) <= drawn.h * padding - 1;
}
