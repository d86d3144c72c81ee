/** The address of a view: `#zoom/lat/lon?panel=…&device=…`. Whoever opens it sees the same. */

import { ALL, NOTABLE, NO_FILTER, OPEN } from './panels/feed';
import { COLUMNS, NEWEST, type JourneyFilter, type Kind } from './sql/journeys';
import { PANEL_NAMES, type AlertFilter, type PanelName, type SqlView } from './state';
import { texts } from './texts';
import { LOOK_NAMES, type Colouring, type DrawOptions, type Filter, type Grouping, type SortKey } from './worker/protocol';

export interface AddressView { zoom: number; lat: number; lon: number }
/** Of these devices, or of a fleet, or of all. */
export interface AskedReplay { devices: readonly string[] | null; fleet: string | null; from: number; to: number; at: number | null; speed: number | null }
export interface AskedHeat { from: number; to: number; fleet: string | null }
export interface Address {
  view: AddressView | null;
  panel: PanelName | null | undefined;
  device: string | null;
  filter: Partial<Filter>;
  replay: AskedReplay | null;
  heat: AskedHeat | null;
  alerts: AlertFilter;
  journeys: JourneyFilter;
  /** What is not said is as the user likes it. */
  options: Partial<Pick<DrawOptions, 'colouring' | 'grouping'>>;
  query: string | null;
  sqlView: SqlView;
}

const SORTS: readonly SortKey[] = ['name', 'status', 'speed', 'age'];
const COLOURINGS: readonly Colouring[] = ['status', 'speed'];
const GROUPINGS: readonly Grouping[] = ['auto', 'always', 'never'];
const JOURNEYS: readonly Kind[] = ['trips', 'stops'];
const SQL_VIEWS: readonly SqlView[] = ['table', 'chart', 'map'];
const ALERT_KINDS: readonly string[] = [NOTABLE, OPEN, ALL, ...Object.keys(texts.alerts.kindNames)];
const ALERT_STATUSES: readonly AlertFilter['status'][] = ['open', 'acknowledged'];
const NO_PANEL = 'none';
/** A replay of more named vehicles makes no address: browsers and messages cut long ones. */
const NAMED_AT_MOST = 100;
const MAX_ZOOM = 20;

const among = <T extends string>(list: readonly T[], text: string | null): T | undefined => list.find((item) => item === text);

function replayOf(words: URLSearchParams): AskedReplay | null {
  const from = Number(words.get('from')), to = Number(words.get('to')), at = Number(words.get('at')), speed = Number(words.get('speed'));
  const devices = words.getAll('replay'), fleet = words.get('replay_fleet');
  if (!(to > from && from > 0) || !(devices.length > 0 || fleet !== null || words.has('replay_all'))) return null;
  return { devices: devices.length > 0 ? devices : null, fleet: devices.length > 0 ? null : fleet, from, to, at: at >= from && at <= to ? at : null, speed: speed > 0 ? speed : null };
}

function heatOf(words: URLSearchParams): AskedHeat | null {
  const [from, to] = (words.get('heat') ?? '').split('-').map(Number);
  return to > from && from > 0 ? { from, to, fleet: words.get('heat_fleet') } : null;
}

function alertsOf(words: URLSearchParams): AlertFilter {
  const moment = (key: string): number | null => (Number(words.get(key)) > 0 ? Number(words.get(key)) : null);
  return {
    ...NO_FILTER, kind: among(ALERT_KINDS, words.get('alerts')) ?? NOTABLE, text: words.get('alerts_search') ?? '', fleet: words.get('alerts_fleet'), device: words.get('alerts_device'),
    status: among(ALERT_STATUSES, words.get('alerts_status')) ?? '', from: moment('alerts_from'), to: moment('alerts_to'),
  };
}

function journeysOf(words: URLSearchParams): JourneyFilter {
  const kind = among(JOURNEYS, words.get('trips')) ?? NEWEST.kind;
  const [from, to] = (words.get('trips_range') ?? '').split('-').map(Number);
  const order = words.get('trips_sort') ?? '';
  const sort = among(COLUMNS[kind], order.replace(/^-/, ''));
  return {
    ...NEWEST, kind, ...(to > from && from > 0 ? { from, to } : {}), fleet: words.get('trips_fleet'), vehicle: words.get('trips_vehicle') ?? '',
    ...(sort ? { sort, descending: order.startsWith('-') } : {}),
  };
}

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
  const colouring = among(COLOURINGS, words.get('colour')), grouping = among(GROUPINGS, words.get('group'));
  return {
    view: parts.length === 3 && place !== '' && zoom >= 0 && zoom <= MAX_ZOOM && Math.abs(lat) <= 90 && Math.abs(lon) <= 540 ? { zoom, lat, lon } : null,
    panel: words.get('panel') === NO_PANEL ? null : among(PANEL_NAMES, words.get('panel')),
    device: words.get('device'),
    filter: {
      ...(words.has('search') ? { text: words.get('search') ?? '' } : {}), ...(words.has('fleet') ? { fleet: words.get('fleet') } : {}),
      ...(looks.length > 0 ? { looks } : {}), ...(sort ? { sort } : {}),
      ...(words.has('fence') ? { fence: words.get('fence') } : {}), ...(words.has('attribute') ? { attribute: words.get('attribute') ?? '' } : {}),
    },
    replay: replayOf(words),
    heat: heatOf(words),
    alerts: alertsOf(words),
    journeys: journeysOf(words),
    options: { ...(colouring ? { colouring } : {}), ...(grouping ? { grouping } : {}) },
    query: words.get('sql'),
    sqlView: among(SQL_VIEWS, words.get('sql_view')) ?? 'table',
  };
}

export function formatAddress({ view, panel, device, filter, replay, heat, alerts, journeys, options, query, sqlView }: Address): string {
  const words = new URLSearchParams();
  words.set('panel', panel ?? NO_PANEL);
  if (device !== null) words.set('device', device);
  if (filter.text) words.set('search', filter.text);
  if (filter.fleet) words.set('fleet', filter.fleet);
  if (filter.looks && filter.looks.length > 0) words.set('status', filter.looks.map((look) => LOOK_NAMES[look]).join(','));
  if (filter.sort && filter.sort !== 'name') words.set('sort', filter.sort);
  if (filter.fence) words.set('fence', filter.fence);
  if (filter.attribute) words.set('attribute', filter.attribute);
  if (replay && (replay.devices?.length ?? 0) <= NAMED_AT_MOST) {
    replay.devices?.forEach((named) => words.append('replay', named));
    if (replay.fleet !== null) words.set('replay_fleet', replay.fleet);
    if (replay.devices === null && replay.fleet === null) words.set('replay_all', '1');
    for (const key of ['from', 'to', 'at', 'speed'] as const) if (replay[key] !== null) words.set(key, String(replay[key]));
  }
  if (heat) words.set('heat', `${heat.from}-${heat.to}`);
  if (heat?.fleet) words.set('heat_fleet', heat.fleet);
  if (alerts.kind !== NOTABLE) words.set('alerts', alerts.kind);
  if (alerts.text) words.set('alerts_search', alerts.text);
  for (const key of ['fleet', 'device', 'status', 'from', 'to'] as const) if (alerts[key]) words.set(`alerts_${key}`, String(alerts[key]));
  if (journeys.kind !== NEWEST.kind) words.set('trips', journeys.kind);
  if (journeys.from !== null && journeys.to !== null && journeys.to > journeys.from) words.set('trips_range', `${journeys.from}-${journeys.to}`);
  if (journeys.fleet) words.set('trips_fleet', journeys.fleet);
  if (journeys.vehicle) words.set('trips_vehicle', journeys.vehicle);
  if (journeys.sort !== NEWEST.sort || journeys.descending !== NEWEST.descending) words.set('trips_sort', `${journeys.descending ? '-' : ''}${journeys.sort}`);
  if (options.colouring) words.set('colour', options.colouring);
  if (options.grouping) words.set('group', options.grouping);
  if (query !== null && panel === 'sql') {
    words.set('sql', query);
    if (sqlView !== 'table') words.set('sql_view', sqlView);
  }
  const place = view ? `${view.zoom}/${view.lat.toFixed(5)}/${view.lon.toFixed(5)}` : '';
  return `#${place}?${words.toString()}`;
}
