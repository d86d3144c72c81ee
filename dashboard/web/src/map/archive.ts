/** Tiles of one PMTiles archive: pictures, or shapes by the scheme of Protomaps, which are drawn here. */

import * as L from 'leaflet';
import type { PMTiles } from 'pmtiles';
import type { TileSource } from '../wire/types';
import type { Theme } from '../worker/protocol';
import { MAX_ZOOM, Pictures, type TileStage } from './tiles';

class PicturesInside extends Pictures {
  constructor(private archive: PMTiles, options: L.TileLayerOptions) {
    super('', options);
  }

  override createTile(coords: L.Coords, done: L.DoneCallback): HTMLElement {
    return this.drawn(this.picture(coords), done);
  }

  private async picture({ z, x, y }: L.Coords): Promise<ImageBitmap | null> {
    const found = await this.archive.getZxy(z, x, y);
    return found ? createImageBitmap(new Blob([found.data])) : null;
  }
}

/** Loads what reads archives only where there is one. */
export async function addArchive(map: L.Map, source: TileSource, stage: TileStage): Promise<void> {
  const { PMTiles, TileType } = await import('pmtiles');
  const archive = new PMTiles(source.url);
  const header = await archive.getHeader();
  const options = { attribution: source.attribution, maxNativeZoom: header.maxZoom, maxZoom: MAX_ZOOM, keepBuffer: 3, className: 'raster-tiles' };
  if (header.tileType !== TileType.Mvt) {
    const pictures = new PicturesInside(archive, options).addTo(map);
    stage.onTheme((theme) => pictures.setTheme(theme));
    return;
  }
  // It takes Leaflet from where a script tag would have put it.
  Object.assign(window, { L });
  const { leafletLayer } = await import('protomaps-leaflet');
  const drawn = (theme: Theme): L.Layer =>
    leafletLayer({ ...options, url: archive, maxDataZoom: header.maxZoom, flavor: theme, lang: navigator.language.slice(0, 2) }) as unknown as L.Layer;
  let shown: { theme: Theme; layer: L.Layer } | null = null;
  stage.onTheme((theme) => {
    if (theme === shown?.theme) return;
    shown?.layer.remove();
    shown = { theme, layer: drawn(theme).addTo(map) };
  });
}
