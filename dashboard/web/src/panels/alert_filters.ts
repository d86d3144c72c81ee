/** What narrows the feed of alerts beside a kind and a text: fleet, vehicle, whether they were acknowledged, time. */

import type { App } from '../app';
import { fromLocalInput, toLocalInput } from '../format';
import type { AlertFilter } from '../state';
import { texts } from '../texts';
import { field, h, options } from '../ui/dom';
import { NO_FILTER } from './feed';

const KEYS = ['fleet', 'device', 'status', 'from', 'to'] as const;

export function alertFilters({ store }: App, choose: (patch: Partial<AlertFilter>) => void): HTMLElement {
  const fleet = h('select', { onchange: () => choose({ fleet: fleet.value || null }) });
  const fleetField = field(texts.vehicles.fleet, fleet);
  const vehicle = h('select', { onchange: () => choose({ device: vehicle.value || null }) });
  const status = h('select', { onchange: () => choose({ status: status.value as AlertFilter['status'] }) });
  options(status, Object.entries(texts.alerts.statuses), '');
  const moment = (key: 'from' | 'to'): HTMLInputElement => {
    const input = h('input', {
      type: 'datetime-local', step: '1', onchange: () => {
        const at = fromLocalInput(input.value);
        choose({ [key]: Number.isFinite(at) ? at : null });
      },
    });
    return input;
  };
  const from = moment('from'), to = moment('to');
  const element = h('details', { class: 'rules' }, h('summary', {}, texts.alerts.narrow),
    h('div', { class: 'field-row' }, fleetField, field(texts.alerts.vehicle, vehicle)),
    h('div', { class: 'field-row' }, field(texts.alerts.status, status)),
    h('div', { class: 'field-row' }, field(texts.replay.from, from), field(texts.replay.to, to)));

  store.on(['fleets', 'alertFilter'], ({ fleets, alertFilter }) => {
    options(fleet, [['', texts.vehicles.allFleets], ...fleets.map((f) => [f.id, f.name] as const)], alertFilter.fleet ?? '');
    fleetField.hidden = fleets.length < 2;
  });
  /** The one that is filtered for, and the one that is selected: others are found by the text. */
  store.on(['selected', 'vehicle', 'alertFilter'], ({ selected, vehicle: shown, alerts, alertFilter }) => {
    const devices = [...new Set([alertFilter.device, selected?.device ?? null])].filter((device) => device !== null);
    const nameOf = (device: string): string => (shown?.row.device === device ? shown.row.name : alerts.find((a) => a.device === device)?.device_name || device);
    const entries = devices.map((device) => [device, nameOf(device)] as const);
    const key = JSON.stringify([entries, alertFilter.device]);
    if (vehicle.dataset['key'] === key) return;
    vehicle.dataset['key'] = key;
    options(vehicle, [['', texts.alerts.allVehicles], ...entries], alertFilter.device ?? '');
  });
  store.on(['alertFilter'], ({ alertFilter }) => {
    status.value = alertFilter.status;
    from.value = alertFilter.from === null ? '' : toLocalInput(alertFilter.from);
    to.value = alertFilter.to === null ? '' : toLocalInput(alertFilter.to);
    // Nobody should wonder why so few are listed.
    if (KEYS.some((key) => alertFilter[key] !== NO_FILTER[key])) element.open = true;
  });
  return element;
}
