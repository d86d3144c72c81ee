/** The tracks of a replay as a file. */

import { NAMED_AT_MOST, api, type TrackFormat } from '../api';
import type { App } from '../app';
import { texts } from '../texts';
import { download, h, options } from '../ui/dom';

const FORMATS: readonly (readonly [TrackFormat, string])[] = [
  ['gpx', 'GPX'], ['csv', 'CSV'], ['xlsx', 'Excel'], ['geojson', 'GeoJSON'], ['kml', 'KML'], ['parquet', 'Parquet'],
];

/** Acts when a format is chosen. */
export function exportMenu(app: App): HTMLSelectElement {
  const select = h('select', {
    aria: { label: texts.replay.export }, onchange: () => {
      const format = select.value as TrackFormat | '';
      select.value = '';
      if (format !== '') run(app, format).catch(app.report);
    },
  });
  options(select, [['', texts.replay.export], ...FORMATS], '');
  return select;
}

async function run(app: App, format: TrackFormat): Promise<void> {
  const { replay } = app.store.now;
  if (!replay?.ready) return;
  const { from, to, devices, everybody } = replay;
  const few = devices.length <= NAMED_AT_MOST;
  if (!few && !everybody) {
    download(await api.exportTracks({ format, devices: [...devices], from, to }), `tracks.${format}`);
    return;
  }
  // The browser writes it to the disk as it comes.
  h('a', { href: api.exportUrl(format, few ? devices.join(',') : null, from, to), download: '' }).click();
}
