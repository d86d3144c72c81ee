/** Where reports were many: cells counted by the server, drawn as warm and cold on a canvas of their own. */

import * as L from 'leaflet';
import { heatShare, type HeatCells, type HeatQuery } from './heat_cells';
import { rampRgb } from './ramp';

/** The map shows a little around the view, so that a small move shows no edge. */
const PADDING = 0.25;
/** Half a blob beside its middle, in cells. */
const BLOB_CELLS = 1.6;

export class HeatLayer extends L.Layer {
  private canvas: HTMLCanvasElement | null = null;
  private data: HeatCells | null = null;
  /** The view that the canvas shows. */
  private corner = L.latLng(0, 0);
  private zoom = 0;

  constructor() {
    super();
    // A plain layer takes no options by itself.
    L.setOptions(this, { pane: 'heat' });
  }

  show(data: HeatCells | null): void {
    this.data = data;
    this.draw();
  }

  /** Fetched and drawn beyond the map's edge. */
  static boundsOf(map: L.Map): HeatQuery['bounds'] {
    const bounds = map.getBounds().pad(PADDING);
    const clamp = (lat: number): number => Math.max(-85.05, Math.min(85.05, lat));
    const wide = bounds.getEast() - bounds.getWest() >= 360;
    return {
      south: clamp(bounds.getSouth()), north: clamp(bounds.getNorth()),
      west: wide ? -180 : L.Util.wrapNum(bounds.getWest(), [-180, 180], true), east: wide ? 180 : L.Util.wrapNum(bounds.getEast(), [-180, 180], true),
    };
  }

  override onAdd(): this {
    this.canvas = L.DomUtil.create('canvas', 'heat-canvas leaflet-zoom-animated');
    this.canvas.setAttribute('aria-hidden', 'true');
    this.getPane()?.append(this.canvas);
    this.draw();
    return this;
  }

  override onRemove(): this {
    this.canvas?.remove();
    this.canvas = null;
    return this;
  }

  override getEvents(): { [name: string]: L.LeafletEventHandlerFn } {
    return { moveend: () => this.draw(), zoomanim: this.animate as unknown as L.LeafletEventHandlerFn };
  }

  private animate = ({ center, zoom }: L.ZoomAnimEvent): void => {
    if (!this.canvas) return;
    const map = this._map;
    const at = map.project(this.corner, zoom).subtract(map.project(center, zoom).subtract(map.getSize().divideBy(2)))
      .subtract(L.DomUtil.getPosition(map.getPane('mapPane') ?? map.getContainer()));
    L.DomUtil.setTransform(this.canvas, at, map.getZoomScale(zoom, this.zoom));
  };

  private draw(): void {
    const { canvas, data } = this;
    if (!canvas) return;
    const map = this._map;
    const size = map.getSize();
    const pad = size.multiplyBy(PADDING).round();
    const w = size.x + 2 * pad.x, h = size.y + 2 * pad.y;
    canvas.width = w;
    canvas.height = h;
    const topLeft = map.containerPointToLayerPoint(pad.multiplyBy(-1));
    L.DomUtil.setPosition(canvas, topLeft);
    this.corner = map.layerPointToLatLng(topLeft);
    this.zoom = map.getZoom();
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context || !data || data.cells.length === 0 || w === 0 || h === 0) return;
    const origin = map.project(this.corner, this.zoom);
    const tiles = 2 ** data.zoom;
    const world = 256 * 2 ** this.zoom;
    const edge = world / tiles;
    const radius = Math.max(5, edge * BLOB_CELLS);
    const blob = blobOf(radius);
    for (const { x, y, count } of data.cells) {
      // The world repeats: the copy that the view shows.
      let px = ((x + 0.5) / tiles) * world - origin.x;
      px -= Math.floor((px + radius) / world) * world;
      const py = ((y + 0.5) / tiles) * world - origin.y;
      if (px > w + radius || py < -radius || py > h + radius) continue;
      context.globalAlpha = heatShare(count, data.most);
      context.drawImage(blob, px - radius, py - radius);
    }
    const image = context.getImageData(0, 0, w, h);
    colour(image.data);
    context.putImageData(image, 0, 0);
  }
}

function blobOf(radius: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = Math.ceil(2 * radius);
  const c = canvas.getContext('2d');
  if (c) {
    const gradient = c.createRadialGradient(radius, radius, 0, radius, radius, radius);
    gradient.addColorStop(0, 'rgb(0 0 0 / 90%)');
    gradient.addColorStop(1, 'rgb(0 0 0 / 0%)');
    c.fillStyle = gradient;
    c.fillRect(0, 0, canvas.width, canvas.height);
  }
  return canvas;
}

/** How dense it is lies in the alpha of black: made a colour of the ramp. */
function colour(data: Uint8ClampedArray): void {
  const table = Array.from({ length: 256 }, (_, a) => rampRgb(a / 255));
  for (let i = 0; i < data.length; i += 4) {
    const a = data[i + 3];
    if (a === 0) continue;
    const [r, g, b] = table[a];
    data[i] = r;
    data[i + 1] = g;
    data[i + 2] = b;
    data[i + 3] = Math.min(205, 40 + a * 1.3);
  }
}
