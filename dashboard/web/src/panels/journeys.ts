/** The table of trips and stops: of a time, a fleet, a vehicle; each a way to the map and to its replay. */

import * as L from 'leaflet';
import { api, messageOf } from '../api';
import type { App, Panel } from '../app';
import { fromLocalInput, toLocalInput, utc } from '../format';
import { Dot } from '../map/dot';
import { PAST_COLOUR, Trail } from '../map/trail';
import { COLUMNS, isFigure, journeyCell, journeySql, journeysOf, type Journey, type JourneyFilter, type JourneyQuery, type Kind } from '../sql/journeys';
import { serverNow } from '../state';
import { texts } from '../texts';
import { download, field, h, iconButton, options, setText } from '../ui/dom';

const DAY_MS = 86_400_000;
/** A longer table is no use to look at; the CSV has them all. */
const SHOWN = 1000;
/** A replay shows a little of what was before and after. */
const MARGIN_MS = 60_000;
const TRACK_POINTS = 5_000;

export function journeysPanel(app: App): Panel {
  const { store } = app;
  const { map } = app.view;
  const way = new Trail(map);
  const dot = new Dot(map);
  /** Answers to questions that were replaced meanwhile are dropped; so are ways. */
  let asked = 0;
  let looked = 0;

  const refresh = (): void => {
    load().catch((e: unknown) => {
      setText(status, '');
      setText(error, messageOf(e));
    });
  };
  const choose = (patch: Partial<JourneyFilter>): void => store.set({ journeyFilter: { ...store.now.journeyFilter, ...patch } });
  const kind = h('select', {
    onchange: () => {
      const chosen = kind.value as Kind;
      const { sort } = store.now.journeyFilter;
      choose({ kind: chosen, sort: COLUMNS[chosen].includes(sort) ? sort : 'started_at' });
    },
  });
  options(kind, Object.entries(texts.journeys.kinds) as [Kind, string][], 'trips');
  const choosing = (): void => choose({ from: fromLocalInput(from.value), to: fromLocalInput(to.value) });
  const from = h('input', { type: 'datetime-local', step: '1', required: true, onchange: choosing });
  const to = h('input', { type: 'datetime-local', step: '1', required: true, onchange: choosing });
  const fleet = h('select', { onchange: () => choose({ fleet: fleet.value || null }) });
  const fleetField = field(texts.vehicles.fleet, fleet);
  const vehicle = h('input', { type: 'search', placeholder: texts.vehicles.search, onchange: () => choose({ vehicle: vehicle.value }) });
  const csvButton = h('button', { type: 'button', class: 'button', onclick: () => csv().catch((e: unknown) => setText(error, messageOf(e))) }, texts.sql.csv);
  const status = h('span', { class: 'muted grow', role: 'status' });
  const error = h('p', { class: 'error', role: 'alert' });
  const head = h('thead', {});
  const body = h('tbody', {});
  const empty = h('p', { class: 'empty', hidden: true }, texts.journeys.none);
  store.on(['fleets'], ({ fleets, journeyFilter }) => {
    options(fleet, [['', texts.vehicles.allFleets], ...fleets.map((f) => [f.id, f.name] as const)], journeyFilter.fleet ?? '');
    fleetField.hidden = fleets.length < 2;
  });

  /** Null: the range is none. */
  function query(limit: number | null): JourneyQuery | null {
    const range = { from: fromLocalInput(from.value), to: fromLocalInput(to.value) };
    setText(error, range.to > range.from ? '' : texts.replay.badRange);
    return range.to > range.from ? { ...store.now.journeyFilter, ...range, limit } : null;
  }

  async function load(): Promise<void> {
    const mine = ++asked;
    const wanted = query(SHOWN + 1);
    setText(status, wanted ? texts.loading : '');
    if (!wanted) return;
    const answer = await api.sql(journeySql(wanted));
    if (mine !== asked) return;
    const journeys = journeysOf(answer);
    showHead(wanted.kind);
    body.replaceChildren(...journeys.slice(0, SHOWN).map((journey) => row(wanted.kind, journey)));
    empty.hidden = journeys.length > 0;
    setText(error, answer.error ?? '');
    setText(status, journeys.length > SHOWN ? texts.sql.shownFirst(SHOWN) : texts.journeys.count[wanted.kind](journeys.length));
  }

  async function csv(): Promise<void> {
    const wanted = query(null);
    if (wanted) download(await api.sqlCsv(journeySql(wanted)), `${wanted.kind}.csv`);
  }

  function showHead(of: Kind): void {
    const { sort, descending } = store.now.journeyFilter;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset['sort'] : undefined;
    head.replaceChildren(h('tr', {}, ...COLUMNS[of].map((column) => {
      const button = h('button', {
        type: 'button', class: 'sort-button', data: { sort: column }, onclick: () => {
          choose({ sort: column, descending: sort === column ? !descending : isFigure(column) || column === 'started_at' || column === 'ended_at' });
        },
      }, texts.journeys.columns[column], h('span', { aria: { hidden: 'true' } }, sort === column ? (descending ? ' ↓' : ' ↑') : ''));
      const cell = h('th', { scope: 'col', class: isFigure(column) ? 'number' : '' }, button);
      if (sort === column) cell.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      return cell;
    }), h('th', { scope: 'col' }, texts.journeys.ways)));
    if (focused !== undefined) head.querySelector<HTMLElement>(`[data-sort=${focused}]`)?.focus();
  }

  function row(of: Kind, journey: Journey): HTMLElement {
    const name = String(journey.values.get('vehicle'));
    return h('tr', { data: { journey: journey.device, from: String(journey.from) } }, ...COLUMNS[of].map((column) => {
      const { text, title } = journeyCell(column, journey.values.get(column));
      return h('td', { class: isFigure(column) ? 'number' : '', title }, text);
    }), h('td', {},
      iconButton('target', texts.journeys.onMap(name), () => look(of, journey).catch(app.report)),
      iconButton('replay', texts.journeys.replay(name), () => app.replay(journey.device, { from: journey.from - MARGIN_MS, to: endOf(journey) + MARGIN_MS }))));
  }

  const endOf = ({ to: end }: Journey): number => end ?? serverNow(store.now);

  function clear(): void {
    looked++;
    way.clear();
    dot.clear();
  }

  /** A trip by its way, a stop by its place. */
  async function look(of: Kind, journey: Journey): Promise<void> {
    clear();
    const mine = looked;
    if (of === 'stops') {
      if (!journey.place) return;
      dot.show(journey.place.lat, journey.place.lon);
      app.view.flyTo(journey.place.lat, journey.place.lon);
      return;
    }
    const { positions } = await api.track(journey.device, journey.from, endOf(journey), TRACK_POINTS);
    if (mine !== looked) return;
    way.show(positions, () => PAST_COLOUR);
    const places = [...positions.filter((p) => p.valid), ...[journey.place, journey.end].flatMap((p) => p ?? [])];
    if (places.length === 0) return;
    const end = journey.end ?? places[places.length - 1];
    dot.show(end.lat, end.lon);
    store.set({ follow: false });
    map.fitBounds(L.latLngBounds(places.map(({ lat, lon }) => [lat, lon])), { padding: [40, 40], maxZoom: 16 });
  }

  function setRange(start: number, end: number): void {
    from.value = toLocalInput(start);
    to.value = toLocalInput(end);
    from.title = utc(start);
    to.title = utc(end);
  }

  async function begin(): Promise<void> {
    if (store.now.journeyFilter.from === null) {
      const range = await api.historyRange();
      if (range.from === null || range.to === null) {
        setText(status, texts.replay.noHistory);
        return;
      }
      setRange(Math.max(range.from, range.to - DAY_MS), range.to + 1000);
    }
    await load();
  }

  const start = (): void => {
    begin().catch((e: unknown) => setText(error, messageOf(e)));
  };
  let isShown = false;
  let isRanged = false;
  // Chosen here, or by an address.
  store.on(['journeyFilter'], ({ journeyFilter }) => {
    const { from: first, to: last } = journeyFilter;
    kind.value = journeyFilter.kind;
    fleet.value = journeyFilter.fleet ?? '';
    vehicle.value = journeyFilter.vehicle;
    // What is being typed, and is no time yet, stays as it is.
    if (first !== null && last !== null && !Number.isNaN(first) && !Number.isNaN(last)) setRange(first, last);
    const wasRanged = isRanged;
    isRanged = first !== null;
    if (!isShown) return;
    // Nobody's choice any more: it is the newest day again.
    if (wasRanged && !isRanged) start();
    else refresh();
  });
  // A way that nobody can tell whose it is would only be in the way.
  store.on(['panel'], ({ panel }) => {
    if (panel === 'trips') return;
    isShown = false;
    clear();
  });
  const element = h('section', { class: 'panel-body journeys-panel', aria: { label: texts.panels.trips } },
    h('div', { class: 'journeys-tools' }, field(texts.journeys.kind, kind), field(texts.replay.from, from), field(texts.replay.to, to),
      fleetField, field(texts.journeys.vehicle, vehicle), csvButton,
      h('button', { type: 'button', class: 'button', onclick: start }, texts.journeys.refresh), status),
    error, h('div', { class: 'journeys', tabIndex: 0, role: 'group', aria: { label: texts.panels.trips } }, h('table', {}, head, body), empty));
  return {
    element,
    shown: () => {
      isShown = true;
      start();
    },
  };
}
