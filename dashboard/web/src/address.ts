/** The address of a view: `#zoom/lat/lon?panel=…&device=…`. Whoever opens it sees the same. */

import type { PanelName } from './state';
import { LOOK_NAMES, type Filter, type SortKey } from './worker/protocol';

export interface AddressView { zoom: number; lat: number; lon: number }
export interface Address {
  view: AddressView | null;
  panel: PanelName | null | undefined;
  device: string | null;
  filter: Partial<Filter>;
  replay: { device: string; from: number; to: number } | null;
  query: string | null;
}

const PANELS: readonly PanelName[] = ['vehicles', 'fences', 'alerts', 'replay', 'trips', 'sql'];
const SORTS: readonly SortKey[] = ['name', 'status', 'speed', 'age'];
const NO_PANEL = 'none';
const MAX_ZOOM = 20;

const among = <T extends string>(list: readonly T[], text: string | null): T | undefined => list.find((item) => item === text);

/** What is none is left out: an address may be typed, cut or old. */
export function parseAddress(hash: string): Address {
  const [place, ...rest] = hash.replace(/^#/, '').split('?');
  const words = new URLSearchParams(rest.join('?'));
  const parts = place.split('/');
  const [zoom, lat, lon] = parts.map(Number);
  const looks = (words.get('status') ?? '').split(',').flatMap((name) => {
    const look = LOOK_NAMES.indexOf(name as (typeof LOOK_NAMES)[number]);
    return look < 0 ? [] : [look];
  });
  const sort = among(SORTS, words.get('sort'));
  const from = Number(words.get('from')), to = Number(words.get('to')), replayed = words.get('replay');
  return {
    view: parts.length === 3 && place !== '' && zoom >= 0 && zoom <= MAX_ZOOM && Math.abs(lat) <= 90 && Math.abs(lon) <= 540 ? { zoom, lat, lon } : null,
    panel: words.get('panel') === NO_PANEL ? null : among(PANELS, words.get('panel')),
    device: words.get('device'),
    filter: {
      ...(words.has('search') ? { text: words.get('search') ?? '' } : {}), ...(words.has('fleet') ? { fleet: words.get('fleet') } : {}),
      ...(looks.length > 0 ? { looks } : {}), ...(sort ? { sort } : {}),
      ...(words.has('fence') ? { fence: words.get('fence') } : {}), ...(words.has('attribute') ? { attribute: words.get('attribute') ?? '' } : {}),
    },
    replay: replayed !== null && to > from && from > 0 ? { device: replayed, from, to } : null,
    query: words.get('sql'),
  };
}

export function formatAddress({ view, panel, device, filter, replay, query }: Address): string {
  const words = new URLSearchParams();
  words.set('panel', panel ?? NO_PANEL);
  if (device !== null) words.set('device', device);
  if (filter.text) words.set('search', filter.text);
  if (filter.fleet) words.set('fleet', filter.fleet);
  if (filter.looks && filter.looks.length > 0) words.set('status', filter.looks.map((look) => LOOK_NAMES[look]).join(','));
  if (filter.sort && filter.sort !== 'name') words.set('sort', filter.sort);
  if (filter.fence) words.set('fence', filter.fence);
  if (filter.attribute) words.set('attribute', filter.attribute);
  if (replay) {
    words.set('replay', replay.device);
    words.set('from', String(replay.from));
    words.set('to', String(replay.to));
  }
  if (query !== null && panel === 'sql') words.set('sql', query);
  const place = view ? `${view.zoom}/${view.lat.toFixed(5)}/${view.lon.toFixed(5)}` : '';
  return `#${place}?${words.toString()}`;
}
