/** Leaflet's canvas renderer for what is drawn seldom and moved often. */

import * as L from 'leaflet';
import { stillCovers, type Ground } from './covers';

/** What Leaflet 1.9 keeps in a canvas renderer. */
interface Innards {
  _map: L.Map & { _animatingZoom?: boolean };
  _container: HTMLCanvasElement & { _leaflet_disable_events?: boolean };
  _ctx: OffscreenCanvasRenderingContext2D | null;
  _bounds?: L.Bounds;
  _redrawBounds: L.Bounds | null;
  _redrawRequest: number | null;
  _redraw: () => void;
  /** For which view it was drawn last; null while that is being changed. */
  drawn: Ground | null;
  easel: OffscreenCanvas;
  screen: ImageBitmapRenderingContext | null;
  _update: () => void;
  fire: (event: string) => void;
  options: { padding: number };
}
type Own = Record<'_update' | '_redraw', (this: Innards) => void> & { getEvents: (this: Innards) => Record<string, L.LeafletEventHandlerFn> };

const groundOf = (map: L.Map): Ground => {
  const { x, y } = map.getPixelOrigin();
  const size = map.getSize();
  const corner = map.containerPointToLayerPoint([0, 0]);
  return { zoom: map.getZoom(), originX: x, originY: y, x: corner.x, y: corner.y, w: size.x, h: size.y };
};

/** Drawn beside the page and shown as a finished picture, for the reason that `paintInto` gives. Nothing in it can be clicked. */
const StillCanvas = L.Canvas.extend({
  onAdd(this: Innards, map: L.Map) {
    L.Canvas.prototype.onAdd.call(this as unknown as L.Canvas, map);
    this._redraw();
    return this;
  },

  getEvents(this: Innards) {
    const events = (L.Canvas.prototype as unknown as Own).getEvents.call(this);
    const moveend = (): void => {
      // A vehicle that is followed ends a move with every step; what is drawn beyond the edge lasts for many.
      const { drawn, _map: map, options: { padding } } = this;
      if (!drawn || !stillCovers(drawn, groundOf(map), padding)) this._update();
    };
    const viewprereset = (): void => {
      this.drawn = null;
      events['viewprereset'].call(this, { type: 'viewprereset' } as L.LeafletEvent);
    };
    return { ...events, moveend, viewprereset };
  },

  _initContainer(this: Innards) {
    this._container = document.createElement('canvas');
    this._container._leaflet_disable_events = true;
    this.screen = this._container.getContext('bitmaprenderer');
    this.easel = new OffscreenCanvas(1, 1);
    this._ctx = this.easel.getContext('2d');
  },

  _update(this: Innards) {
    if (this._map._animatingZoom && this._bounds) return;
    (L.Renderer.prototype as unknown as Own)._update.call(this);
    const { _bounds: bounds, _container: container, easel } = this;
    const min = bounds?.min, size = bounds?.getSize();
    if (!min || !size) return;
    this.drawn = groundOf(this._map);
    L.DomUtil.setPosition(container, min);
    const ratio = L.Browser.retina ? 2 : 1;
    container.width = easel.width = ratio * size.x;
    container.height = easel.height = ratio * size.y;
    container.style.width = `${size.x}px`;
    container.style.height = `${size.y}px`;
    // All paths are drawn anew.
    this.fire('update');
  },

  _redraw(this: Innards) {
    const { _ctx: context, _bounds: bounds, easel, screen } = this;
    const min = bounds?.min;
    this._redrawRequest = null;
    if (!context || !min || easel.width === 0 || easel.height === 0) return;
    // What was drawn has been handed over: there are no parts to be mended.
    this._redrawBounds = null;
    const ratio = L.Browser.retina ? 2 : 1;
    context.setTransform(ratio, 0, 0, ratio, -ratio * min.x, -ratio * min.y);
    (L.Canvas.prototype as unknown as Own)._redraw.call(this);
    screen?.transferFromImageBitmap(easel.transferToImageBitmap());
  },
});

export const stillCanvas = (options: L.RendererOptions): L.Canvas => new (StillCanvas as unknown as new (options: L.RendererOptions) => L.Canvas)(options);
