/** The box of the heat map: which time, which fleet, and what its colours mean. */

import * as L from 'leaflet';
import type { AskedHeat } from '../address';
import { api, messageOf } from '../api';
import type { App } from '../app';
import { fromLocalInput, toLocalInput } from '../format';
import { HeatLayer } from '../map/heat';
import { cellZoom, heatCells, heatSql } from '../map/heat_cells';
import { RAMP_CSS } from '../map/ramp';
import { looksAround } from '../roles';
import { texts } from '../texts';
import { field, h, iconButton, options, setText } from '../ui/dom';

const HOUR_MS = 3_600_000;
/** A map that moves asks when it has come to rest. */
const REST_MS = 300;

export interface HeatBox { button: HTMLButtonElement; element: HTMLElement; toggle: () => void; /** Null: none. */ show: (asked: AskedHeat | null) => void }

export function heatBox(app: App, map: L.Map): HeatBox {
  const { store } = app;
  const layer = new HeatLayer();
  const from = h('input', { type: 'datetime-local', step: '1', required: true, onchange: () => ask() });
  const to = h('input', { type: 'datetime-local', step: '1', required: true, onchange: () => ask() });
  const fleet = h('select', { onchange: () => ask() });
  const fleetField = field(texts.vehicles.fleet, fleet);
  store.on(['fleets'], ({ fleets }) => {
    options(fleet, [['', texts.vehicles.allFleets], ...fleets.map((f) => [f.id, f.name] as const)], fleet.value);
    fleetField.hidden = fleets.length < 2;
  });
  const status = h('p', { class: 'hint', role: 'status' });
  const error = h('p', { class: 'error', role: 'alert' });
  const most = h('span', {});
  const bar = h('span', { class: 'heat-bar' });
  bar.style.background = RAMP_CSS;
  const legend = h('div', { class: 'heat-legend', hidden: true }, h('span', {}, '1'), bar, most);
  const element = h('section', { class: 'heat-box', hidden: true, aria: { label: texts.heat.title } },
    h('header', { class: 'card-head' }, h('h2', { class: 'card-title grow' }, texts.heat.title), iconButton('close', texts.close, toggle)),
    h('div', { class: 'heat-form' }, field(texts.replay.from, from), field(texts.replay.to, to), fleetField, legend, status, error));
  const button = iconButton('heat', texts.heat.title, toggle, 'map-button');
  button.hidden = !looksAround(store.now);
  button.setAttribute('aria-pressed', 'false');
  L.DomEvent.disableClickPropagation(element);
  L.DomEvent.disableScrollPropagation(element);

  let timer = 0;
  let asked = 0;
  const ask = (): void => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      refresh().catch((e: unknown) => setText(error, messageOf(e)));
    }, REST_MS);
  };

  async function refresh(): Promise<void> {
    if (element.hidden) return;
    const mine = ++asked;
    const range = { from: fromLocalInput(from.value), to: fromLocalInput(to.value) };
    setText(error, range.to > range.from ? '' : texts.replay.badRange);
    if (!(range.to > range.from)) return;
    store.set({ heat: { ...range, fleet: fleet.value || null } });
    const zoom = map.getZoom();
    setText(status, texts.loading);
    const { rows, truncated, error: broken } = await api.sql(heatSql({ ...range, fleet: fleet.value || null, bounds: HeatLayer.boundsOf(map), zoom }));
    if (mine !== asked || element.hidden) return;
    const data = heatCells(rows, cellZoom(zoom));
    layer.show(data);
    legend.hidden = data.cells.length === 0;
    setText(most, data.most.toLocaleString());
    setText(status, data.cells.length === 0 ? texts.heat.nothing : texts.heat.legend);
    setText(error, broken ?? (truncated ? texts.sql.truncated : ''));
  }

  async function begin(): Promise<void> {
    if (from.value === '') {
      const range = await api.historyRange();
      if (range.from === null || range.to === null) {
        setText(status, texts.replay.noHistory);
        return;
      }
      from.value = toLocalInput(Math.max(range.from, range.to - HOUR_MS));
      to.value = toLocalInput(range.to + 1000);
    }
    await refresh();
  }

  function toggle(): void {
    if (!looksAround(store.now)) return;
    element.hidden = !element.hidden;
    const on = !element.hidden;
    button.setAttribute('aria-pressed', String(on));
    if (!on) {
      map.off('moveend', ask);
      clearTimeout(timer);
      asked++;
      layer.show(null);
      layer.remove();
      store.set({ heat: null });
      return;
    }
    layer.addTo(map);
    map.on('moveend', ask);
    begin().catch((e: unknown) => setText(error, messageOf(e)));
  }

  function show(wanted: AskedHeat | null): void {
    if (wanted) {
      from.value = toLocalInput(wanted.from);
      to.value = toLocalInput(wanted.to);
      fleet.value = store.now.fleets.some((f) => f.id === wanted.fleet) ? (wanted.fleet ?? '') : '';
    }
    if (element.hidden === (wanted !== null)) toggle();
    else if (wanted) ask();
  }

  return { button, element, toggle, show };
}
