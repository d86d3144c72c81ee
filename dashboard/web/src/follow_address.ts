/** The address follows what is shown, so that it can be shared; and one that is pasted into the open page is shown. */

import type * as L from 'leaflet';
import { formatAddress, parseAddress, type Address, type AddressView } from './address';
import type { App } from './app';
import { looksAround, offered } from './roles';
import type { State } from './state';
import { EVERYBODY } from './worker/protocol';

/** Written when nothing has changed for so long: a vehicle that is followed moves the map 60 times a second. */
const REST_MS = 400;
/** But at the latest so long after a change; browsers count how often a page changes its address. */
const LATEST_MS = 5_000;

/** What is shown. A replay's moment in whole milliseconds, as all its times. */
export function addressOf({ panel, selected, filter, replay, heat, alertFilter, journeyFilter, options: { colouring, grouping }, query, sqlView }: State, view: AddressView): Address {
  const past = replay && { ...replay.asked, from: Math.round(replay.from), to: Math.round(replay.to), at: Math.round(replay.at), speed: replay.speed };
  return { view, panel, device: selected?.device ?? null, filter, replay: past, heat, alerts: alertFilter, journeys: journeyFilter, options: { colouring, grouping }, query, sqlView };
}

/** `place`: what the map shows; null while that is nobody's choice. */
export function keepAddress({ store }: App, place: () => AddressView | null, map: L.Map): void {
  let timer = 0;
  let changedAt = 0;
  const write = (): void => {
    timer = 0;
    const view = place();
    if (view) history.replaceState(null, '', formatAddress(addressOf(store.now, view)));
  };
  const later = (): void => {
    const now = performance.now();
    if (timer === 0) changedAt = now;
    clearTimeout(timer);
    timer = window.setTimeout(write, Math.max(0, Math.min(REST_MS, changedAt + LATEST_MS - now)));
  };
  map.on('moveend', later);
  // While the map is on its way; a changed address makes the browser look at the page's icon again.
  map.on('movestart', () => clearTimeout(timer));
  store.on(['panel', 'selected', 'filter', 'query', 'sqlView', 'alertFilter', 'journeyFilter', 'heat', 'options'], later);
  let moment = '';
  store.on(['replay'], ({ replay }) => {
    const now = replay ? `${replay.id} ${Math.round(replay.at)} ${replay.speed}` : '';
    // Of a replay that stands still the clock is told too.
    if (now !== moment) later();
    moment = now;
  });
}

/** What the parts of the page do that the store alone can't say. */
export interface Parts {
  replay: (asked: Address['replay']) => void;
  heat: (asked: Address['heat']) => void;
  sql: (query: string, view: Address['sqlView']) => void;
}

/** Shows what an address says besides what the page began with. */
export function openParts(app: App, { device, replay, heat, panel, query, sqlView }: Address, parts: Parts): void {
  app.select('live', device);
  if (!looksAround(app.store.now)) return;
  parts.replay(replay);
  parts.heat(heat);
  if (query !== null && panel === 'sql') parts.sql(query, sqlView);
}

/** An address that somebody pastes. What it doesn't say is as nobody has chosen anything. */
export function followAddress(app: App, parts: Parts): void {
  const { store } = app;
  addEventListener('hashchange', ({ newURL }) => {
    // The page may have written its own over it since.
    const asked = parseAddress(new URL(newURL).hash);
    const { filter, options, panel } = store.now;
    store.set({
      filter: { ...EVERYBODY, devices: filter.devices, ...asked.filter },
      options: { ...options, ...asked.options }, panel: asked.panel === undefined ? panel : offered(store.now, asked.panel), alertFilter: asked.alerts,
      journeyFilter: asked.journeys,
    });
    if (asked.view) app.view.map.setView([asked.view.lat, asked.view.lon], asked.view.zoom, { animate: false });
    openParts(app, asked, parts);
  });
}
