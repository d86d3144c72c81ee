/** Dragging the map by mouse. */

import type * as L from 'leaflet';

/** Whoever drags has the map in hand: the browser need not look with every step of the mouse what lies under it. */
export function grabWhileDragged(map: L.Map): void {
  const container = map.getContainer();
  let pointer: number | null = null;
  container.addEventListener('pointerdown', ({ pointerType, pointerId }) => {
    // A finger has what it touches anyway, and two of them zoom.
    pointer = pointerType === 'mouse' ? pointerId : null;
  });
  map.on('dragstart', () => {
    if (pointer !== null) container.setPointerCapture(pointer);
  });
}
