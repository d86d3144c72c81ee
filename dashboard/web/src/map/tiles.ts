/** Raster tiles over the coastlines. Tiles that fail leave no mark; when all fail, asking stops for a while. */

import * as L from 'leaflet';
import type { Store } from '../state';
import type { TileSource } from '../wire/types';
import type { Theme } from '../worker/protocol';

/** 1 x 1, transparent. */
const NOTHING = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const GIVE_UP_AFTER = 12;
const RETRY_MS = 60_000;
/** Makes a light map a dark one that keeps its hues. */
const DARK = 'invert(1) hue-rotate(180deg) brightness(.85) contrast(.9)';

/** In the dark, each tile is filtered once when it comes: as a CSS filter it would be filtered again with every frame. */
class Tiles extends L.TileLayer {
  private theme: Theme = 'light';

  setTheme(theme: Theme): void {
    if (theme === this.theme) return;
    this.theme = theme;
    if (this._map) this.redraw();
  }

  override createTile(coords: L.Coords, done: L.DoneCallback): HTMLElement {
    const canvas = L.DomUtil.create('canvas', 'leaflet-tile');
    const context = canvas.getContext('2d');
    // Where canvases can't filter, the stylesheet does.
    if (this.theme === 'light' || !context || !('filter' in context)) return super.createTile(coords, done);
    const image = new Image();
    image.onload = () => {
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      context.filter = DARK;
      context.drawImage(image, 0, 0);
      // Leaflet drops tiles of the former zoom at once if they are not complete, as images say of themselves.
      Object.assign(canvas, { complete: true });
      done(undefined, canvas);
    };
    image.onerror = () => done(new Error('tile'), canvas);
    image.src = this.getTileUrl(coords);
    return canvas;
  }
}

export function addTiles(map: L.Map, source: TileSource, store: Store): void {
  const tiles = new Tiles(source.url, {
    attribution: source.attribution, maxNativeZoom: source.max_zoom, maxZoom: 20, errorTileUrl: NOTHING, keepBuffer: 3, className: 'raster-tiles',
  });
  store.on(['options'], ({ options }) => tiles.setTheme(options.theme));
  let failed = 0;
  tiles.on('tileload', ({ tile }: L.TileEvent) => {
    if (tile.src === NOTHING) return;
    failed = 0;
    store.set({ tilesFailing: false });
  });
  tiles.on('tileerror', () => {
    if (++failed !== GIVE_UP_AFTER) return;
    store.set({ tilesFailing: true });
    tiles.remove();
    setTimeout(() => {
      failed = 0;
      tiles.addTo(map);
    }, RETRY_MS);
  });
  tiles.addTo(map);
}
