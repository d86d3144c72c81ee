/** The tracks of a replay as a file. */

import { api } from '../api';
import type { App } from '../app';
import { texts } from '../texts';
import { h, options } from '../ui/dom';

type Format = 'gpx' | 'csv' | 'xlsx' | 'geojson' | 'kml' | 'parquet';
const FORMATS: readonly (readonly [Format, string])[] = [
  ['gpx', 'GPX'], ['csv', 'CSV'], ['xlsx', 'Excel'], ['geojson', 'GeoJSON'], ['kml', 'KML'], ['parquet', 'Parquet'],
];
/** Named in one address. */
const NAMED_AT_MOST = 200;

/** Acts when a format is chosen. */
export function exportMenu(app: App): HTMLSelectElement {
  const select = h('select', {
    aria: { label: texts.replay.export }, onchange: () => {
      const format = select.value as Format | '';
      select.value = '';
      if (format !== '') run(app, format);
    },
  });
  options(select, [['', texts.replay.export], ...FORMATS], '');
  return select;
}

function run(app: App, format: Format): void {
  const { replay } = app.store.now;
  if (!replay?.ready) return;
  const { from, to, devices } = replay;
  const many = devices.length > NAMED_AT_MOST;
  if (many && !replay.everybody) app.report(new Error(texts.replay.exportTooMany(NAMED_AT_MOST)));
  else h('a', { href: api.exportUrl(format, many ? null : devices.join(','), from, to), download: '' }).click();
}
