/** The tracks of a replay as a file. */

import { api } from '../api';
import type { App } from '../app';
import { texts } from '../texts';
import { download, h, options } from '../ui/dom';
import type { PositionInfo } from '../wire/types';
import { kml } from './kml';

type Format = 'gpx' | 'csv' | 'xlsx' | 'geojson' | 'kml' | 'parquet';
const FORMATS: readonly (readonly [Format, string])[] = [
  ['gpx', 'GPX'], ['csv', 'CSV'], ['xlsx', 'Excel'], ['geojson', 'GeoJSON'], ['kml', 'KML'], ['parquet', 'Parquet'],
];
/** Named in one address. */
const NAMED_AT_MOST = 200;
/** Each is fetched on its own and written here. */
const KML_AT_MOST = 50;

/** Acts when a format is chosen. */
export function exportMenu(app: App): HTMLSelectElement {
  const select = h('select', {
    aria: { label: texts.replay.export }, onchange: () => {
      const format = select.value as Format | '';
      select.value = '';
      if (format !== '') run(app, format).catch(app.report);
    },
  });
  options(select, [['', texts.replay.export], ...FORMATS], '');
  return select;
}

/** Tracks come in parts. */
async function wholeTrack(device: string, from: number, to: number): Promise<PositionInfo[]> {
  const all: PositionInfo[] = [];
  for (let next = from; ;) {
    const { positions, truncated } = await api.track(device, next, to);
    for (const p of positions) all.push(p);
    if (!truncated || positions.length === 0) return all;
    next = positions[positions.length - 1].fix_time + 1;
  }
}

async function run(app: App, format: Format): Promise<void> {
  const { replay } = app.store.now;
  if (!replay?.ready) return;
  const { from, to, devices } = replay;
  const most = format === 'kml' ? KML_AT_MOST : NAMED_AT_MOST;
  if (devices.length > most && !(replay.everybody && format !== 'kml')) throw new Error(texts.replay.exportTooMany(most));
  if (format === 'kml') {
    const tracks = [];
    for (const name of devices) tracks.push({ name, positions: await wholeTrack(name, from, to) });
    download(new Blob([kml(tracks)], { type: 'application/vnd.google-earth.kml+xml' }), 'tracks.kml');
    return;
  }
  const named = replay.everybody && devices.length > most ? null : devices.join(',');
  h('a', { href: api.exportUrl(format, named, from, to), download: '' }).click();
}
