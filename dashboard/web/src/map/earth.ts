/** Natural Earth's land and borders as a Leaflet layer: the map is never blank, online or not. */

import * as L from 'leaflet';
import type { Topology } from 'topojson-specification';
import atlas from 'world-atlas/countries-50m.json?url';
import { latOf, lonOf, mercatorX, mercatorY } from '../worker/mercator';
import type { Theme } from '../worker/protocol';
import { earthOf, tileBox, trace, type Earth, type Path } from './outlines';
import { paintInto } from './picture';

const COLOURS: Record<Theme, { sea: string; land: string; coast: string; border: string; grid: string }> = {
  light: { sea: '#d5e3ec', land: '#f3f1ea', coast: '#a9bcc8', border: '#c9c0b2', grid: 'rgba(70,100,120,.10)' },
  dark: { sea: '#0e1722', land: '#1b2530', coast: '#33475a', border: '#3a4652', grid: 'rgba(150,180,210,.07)' },
};

async function load(): Promise<Earth> {
  const response = await fetch(atlas);
  if (!response.ok) throw new Error(`coastlines: ${response.status}`);
  return earthOf((await response.json()) as Topology);
}

/** Each is a layer of the page that has to be told of every step of a drag: fewer large ones cost less than many small ones. */
const TILE_PX = 512;

/** Degrees between grid lines, so that they are about 100 px apart. */
const gridStep = (zoom: number): number => {
  const aim = 360 / 2 ** zoom / 2;
  return [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005].find((s) => s <= aim) ?? 0.0005;
};

export class EarthLayer extends L.GridLayer {
  private earth: Earth | null = null;
  private theme: Theme;

  constructor(theme: Theme) {
    // Drawn from memory at once: tiles kept beyond the edge only cost time with every frame.
    super({ pane: 'earth', attribution: '', updateWhenZooming: false, keepBuffer: 1, tileSize: TILE_PX, className: 'earth-tiles' });
    this.theme = theme;
    load().then((earth) => {
      this.earth = earth;
      this.redraw();
    }, () => undefined /* The sea stays; the map works. */);
  }

  setTheme(theme: Theme): void {
    if (theme === this.theme) return;
    this.theme = theme;
    this.redraw();
  }

  override createTile(coords: L.Coords): HTMLElement {
    const dpr = Math.min(2, window.devicePixelRatio || 1);
    const tile = L.DomUtil.create('canvas', 'earth-tile');
    const edge = TILE_PX * dpr;
    paintInto(tile, edge, edge, false, (context) => this.draw(context, coords, edge));
    return tile;
  }

  private draw(c: OffscreenCanvasRenderingContext2D, coords: L.Coords, edge: number): void {
    const colours = COLOURS[this.theme];
    const { box: [x0, y0, x1, y1], tiles } = tileBox(coords, TILE_PX);
    const scale = tiles * edge;
    c.fillStyle = colours.sea;
    c.fillRect(0, 0, edge, edge);
    if (coords.y < 0 || coords.y >= tiles) return;
    const visible = (box: Path['box'], shift: number): boolean =>
      box[2] + shift >= x0 && box[0] + shift <= x1 && box[3] >= y0 && box[1] <= y1;
    const square = { x0, y0, scale, edge };
    if (this.earth) {
      const first = Math.floor(x0) - 1, last = Math.floor(x1) + 1;
      c.lineJoin = 'round';
      c.fillStyle = colours.land;
      c.strokeStyle = colours.coast;
      c.lineWidth = edge / TILE_PX;
      c.beginPath();
      for (let shift = first; shift <= last; shift++) {
        for (const area of this.earth.areas) if (visible(area[0].box, shift)) for (const ring of area) trace(c, ring, shift, square);
      }
      c.fill('evenodd');
      c.stroke();
      c.strokeStyle = colours.border;
      c.beginPath();
      for (let shift = first; shift <= last; shift++) {
        for (const border of this.earth.borders) if (visible(border.box, shift)) trace(c, border, shift, square);
      }
      c.stroke();
    }
    this.drawGrid(c, coords.z, edge, [x0, y0, x1, y1], scale);
  }

  /** Fine lines of latitude and longitude: deep inland without tiles they still show that and how the map moves. */
  private drawGrid(c: OffscreenCanvasRenderingContext2D, zoom: number, edge: number, [x0, y0, x1, y1]: Path['box'], scale: number): void {
    const step = gridStep(zoom);
    c.strokeStyle = COLOURS[this.theme].grid;
    c.lineWidth = edge / TILE_PX;
    c.beginPath();
    const west = lonOf(x0), east = lonOf(x1);
    for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) {
      const x = (mercatorX(lon) - x0) * scale;
      c.moveTo(x, 0);
      c.lineTo(x, edge);
    }
    const north = latOf(y0), south = latOf(y1);
    for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step) {
      const y = (mercatorY(lat) - y0) * scale;
      c.moveTo(0, y);
      c.lineTo(edge, y);
    }
    c.stroke();
  }
}
