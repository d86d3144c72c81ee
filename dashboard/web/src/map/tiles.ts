/** Raster tiles over the coastlines. Tiles that fail leave no mark; when all fail, asking stops for a while. */

import * as L from 'leaflet';
import type { Store } from '../state';
import type { TileSource } from '../wire/types';

/** 1 x 1, transparent. */
const NOTHING = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const GIVE_UP_AFTER = 12;
const RETRY_MS = 60_000;

export function addTiles(map: L.Map, source: TileSource, store: Store): void {
  const tiles = L.tileLayer(source.url, {
    attribution: source.attribution, maxNativeZoom: source.max_zoom, maxZoom: 20, errorTileUrl: NOTHING, keepBuffer: 3, className: 'raster-tiles',
  });
  let failed = 0;
  tiles.on('tileload', (event: L.TileEvent) => {
    if (event.tile.src === NOTHING) return;
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
