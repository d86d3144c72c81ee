/** Pictures that are drawn once and then only moved. */

/**
 * Draws a picture and shows it in a canvas that has none yet. A canvas that is drawn on itself is copied for the compositor whenever anything on
 * the page moves, and there are twenty under a map that is dragged; a finished picture is taken over once. `alpha`: it has holes to look through.
 */
export function paintInto(canvas: HTMLCanvasElement, width: number, height: number, alpha: boolean, paint: (c: OffscreenCanvasRenderingContext2D) => void): void {
  canvas.width = width;
  canvas.height = height;
  const easel = new OffscreenCanvas(width, height);
  const context = easel.getContext('2d', { alpha });
  if (!context) return;
  paint(context);
  canvas.getContext('bitmaprenderer', { alpha })?.transferFromImageBitmap(easel.transferToImageBitmap());
}
