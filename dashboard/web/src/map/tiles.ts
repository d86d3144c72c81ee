/** Raster tiles over the coastlines. Tiles that fail leave no mark; when all fail, asking stops for a while. */

import * as L from 'leaflet';
import { paintInto } from './picture';
import type { TileSource } from '../wire/types';
import type { Theme } from '../worker/protocol';

/** What tiles need of the page that shows them. */
export interface TileStage {
  /** Tells the theme, now and whenever it is another. */
  onTheme: (show: (theme: Theme) => void) => void;
  /** Whether tiles can't be loaded. */
  failing: (failing: boolean) => void;
}

/** Tiles are enlarged beyond what there is. */
export const MAX_ZOOM = 20;
/** 1 x 1, transparent. */
const NOTHING = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
/** Tile servers want to know who asks, whatever the page tells others: its origin, and nothing behind it. */
const REFERRER = 'strict-origin';
const GIVE_UP_AFTER = 12;
const RETRY_MS = 60_000;
/** Makes a light map a dark one that keeps its hues. */
const DARK = 'invert(1) hue-rotate(180deg) brightness(.85) contrast(.9)';

type Picture = HTMLImageElement | ImageBitmap;

/** In the dark, each tile is filtered once when it comes: as a CSS filter it would be filtered again with every frame. */
export class Pictures extends L.TileLayer {
  protected theme: Theme = 'light';

  setTheme(theme: Theme): void {
    if (theme === this.theme) return;
    this.theme = theme;
    if (this._map) this.redraw();
  }

  /** `coming`: none where there is nothing to show. */
  protected drawn(coming: Promise<Picture | null>, done: L.DoneCallback): HTMLElement {
    const canvas = L.DomUtil.create('canvas', 'leaflet-tile');
    const draw = (picture: Picture | null): void => {
      if (picture) {
        paintInto(canvas, picture.width, picture.height, true, (context) => {
          if (this.theme === 'dark' && 'filter' in context) context.filter = DARK;
          // Where canvases can't filter, the stylesheet does.
          else canvas.classList.add('unfiltered');
          context.drawImage(picture, 0, 0);
        });
      }
      // Leaflet drops tiles of the former zoom at once if they are not complete, as images say of themselves.
      Object.assign(canvas, { complete: true });
      done(undefined, canvas);
    };
    coming.then(draw, () => done(new Error('tile'), canvas));
    return canvas;
  }
}

class PicturesOfServer extends Pictures {
  override createTile(coords: L.Coords, done: L.DoneCallback): HTMLElement {
    if (this.theme === 'light') return super.createTile(coords, done);
    return this.drawn(new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = reject;
      image.referrerPolicy = REFERRER;
      image.src = this.getTileUrl(coords);
    }), done);
  }
}

export function addTiles(map: L.Map, source: TileSource, stage: TileStage): void {
  const tiles = new PicturesOfServer(source.url, {
    attribution: source.attribution, maxNativeZoom: source.max_zoom, maxZoom: MAX_ZOOM, errorTileUrl: NOTHING, keepBuffer: 3, className: 'raster-tiles',
    referrerPolicy: REFERRER,
  });
  stage.onTheme((theme) => tiles.setTheme(theme));
  let failed = 0;
  tiles.on('tileload', ({ tile }: L.TileEvent) => {
    if (tile.src === NOTHING) return;
    failed = 0;
    stage.failing(false);
  });
  tiles.on('tileerror', () => {
    if (++failed !== GIVE_UP_AFTER) return;
    stage.failing(true);
    tiles.remove();
    setTimeout(() => {
      failed = 0;
      tiles.addTo(map);
    }, RETRY_MS);
  });
  tiles.addTo(map);
}
