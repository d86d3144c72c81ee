/** The Leaflet layer that shows the worker's pictures, each under the view it was drawn for. */

import * as L from 'leaflet';
import type { Engine } from '../engine';
import type { FrameReply, View } from '../worker/protocol';
import { PAD, holds } from './hold';

/** One is being drawn while one is on its way. */
const IN_FLIGHT = 2;
/** Phones have 3 pixels a point; nobody sees the third, everybody pays for it. */
const MAX_RATIO = 2;

export class VehicleLayer extends L.Layer {
  private canvas: HTMLCanvasElement | null = null;
  private context: ImageBitmapRenderingContext | null = null;
  private request = 0;
  private inFlight = 0;
  private ready: FrameReply | null = null;
  /** The view for which the last drawing was asked. */
  private asked: View | null = null;
  private askedAt = 0;
  /** How long the last picture holds. */
  private lasting = { still: false, holdMs: 0 };
  /** The view of the pixels on the canvas. */
  private shown: View | null = null;
  /** Where the canvas was put last. */
  private placed = '';
  /** Frames put on the screen. */
  frames = 0;
  inView = 0;

  constructor(private engine: Engine, private onFrame: (reply: FrameReply) => void) {
    super();
    // A plain layer takes no options by itself.
    L.setOptions(this, { pane: 'vehicles' });
    engine.on('frame', (reply) => {
      this.inFlight--;
      // One that nobody will see is given back at once, not when garbage is collected.
      this.ready?.picture?.close();
      this.ready = reply;
      this.lasting.still = reply.still;
      this.lasting.holdMs = reply.holdMs;
    });
    engine.on('wake', () => {
      this.lasting.still = false;
      this.lasting.holdMs = 0;
    });
  }

  override onAdd(): this {
    const canvas = L.DomUtil.create('canvas', 'vehicle-canvas leaflet-zoom-animated');
    canvas.setAttribute('aria-hidden', 'true');
    this.getPane()?.append(canvas);
    this.canvas = canvas;
    // A canvas that is drawn on is copied with every frame of a drag, this one when there is another picture.
    this.context = canvas.getContext('bitmaprenderer');
    this.request = requestAnimationFrame(this.tick);
    return this;
  }

  override onRemove(): this {
    cancelAnimationFrame(this.request);
    this.canvas?.remove();
    this.canvas = null;
    return this;
  }

  override getEvents(): { [name: string]: L.LeafletEventHandlerFn } {
    return { zoomanim: this.onZoomAnimation as unknown as L.LeafletEventHandlerFn };
  }

  private tick = (): void => {
    this.request = requestAnimationFrame(this.tick);
    const map = this._map;
    const view = viewOf(map);
    if (view.w === 0 || view.h === 0) return;
    if (this.inFlight < IN_FLIGHT && !this.holds(view)) {
      this.inFlight++;
      this.asked = view;
      this.askedAt = performance.now();
      this.engine.draw(view);
    }
    // Leaflet animates the panes by CSS: the canvas has been sent to where the zoom ends.
    if (isAnimatingZoom(map)) return;
    const reply = this.ready;
    if (reply) {
      this.ready = null;
      this.show(reply);
    }
    this.place(view);
    if (reply) this.onFrame(reply);
  };

  /** Whether the picture that was asked for last, moved with the map, still does. */
  private holds(view: View): boolean {
    return this.asked !== null && holds(this.asked, view, performance.now() - this.askedAt, this.lasting);
  }

  private show(reply: FrameReply): void {
    const { canvas, context } = this;
    if (!canvas || !context || !reply.picture) return;
    const { w, h, dpr } = reply.view;
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
      canvas.style.width = `${w / dpr}px`;
      canvas.style.height = `${h / dpr}px`;
    }
    context.transferFromImageBitmap(reply.picture);
    this.shown = reply.view;
    this.inView = reply.shown;
    this.frames++;
  }

  /** Moves and scales the pixels drawn for the shown view to where the present view has them. */
  private place(view: View): void {
    if (!this.canvas || !this.shown) return;
    const { shown } = this;
    const pixel = new L.Point((shown.x0 - view.x0) * view.scale / view.dpr - PAD, (shown.y0 - view.y0) * view.scale / view.dpr - PAD);
    const at = this._map.containerPointToLayerPoint(pixel);
    const scale = (view.scale / view.dpr) / (shown.scale / shown.dpr);
    // A drag moves the pane with all that is in it: mostly the canvas stands where it has to.
    const placed = `${at.x} ${at.y} ${scale}`;
    if (placed === this.placed) return;
    this.placed = placed;
    if (Math.abs(scale - 1) < 1e-9) L.DomUtil.setPosition(this.canvas, at.round());
    else L.DomUtil.setTransform(this.canvas, at, scale);
  }

  /** As Leaflet's own renderers do: the transform that the CSS animation ends at. */
  private onZoomAnimation = (event: L.ZoomAnimEvent): void => {
    if (!this.canvas || !this.shown) return;
    const map = this._map;
    const { shown } = this;
    const origin = map.project(event.center, event.zoom).subtract(map.getSize().divideBy(2));
    const world = 256 * 2 ** event.zoom;
    // The frame of reference of a zoom animation is the map's pane at its end.
    const pane = L.DomUtil.getPosition(map.getPane('mapPane') ?? map.getContainer());
    this.placed = '';
    const at = new L.Point(shown.x0 * world - origin.x, shown.y0 * world - origin.y).subtract(pane);
    L.DomUtil.setTransform(this.canvas, at, world / (shown.scale / shown.dpr));
  };
}

const isAnimatingZoom = (map: L.Map): boolean => (map as unknown as { _animatingZoom?: boolean })._animatingZoom === true;

/** Device pixels a CSS pixel. */
export const pixelRatio = (): number => Math.min(MAX_RATIO, window.devicePixelRatio || 1);

/** The map's present view in device pixels, with the padding. */
export function viewOf(map: L.Map): View {
  const dpr = pixelRatio();
  const size = map.getSize();
  const zoom = map.getZoom();
  const world = 256 * 2 ** zoom;
  const pane = L.DomUtil.getPosition(map.getPane('mapPane') ?? map.getContainer());
  const corner = map.getPixelOrigin().subtract(pane);
  return {
    x0: (corner.x - PAD) / world,
    y0: (corner.y - PAD) / world,
    scale: world * dpr,
    w: size.x === 0 ? 0 : Math.round((size.x + 2 * PAD) * dpr),
    h: size.y === 0 ? 0 : Math.round((size.y + 2 * PAD) * dpr),
    zoom,
    dpr,
  };
}

/** A place of the map's container in the pixels of the buffer drawn for the present view. */
export const bufferPoint = (at: L.Point): L.Point =>
  new L.Point(Math.round((at.x + PAD) * pixelRatio()), Math.round((at.y + PAD) * pixelRatio()));
