/** The feed of alerts: live, filtered, each a way to the place where it happened. */

import { acknowledgedOf, inParts } from '../acknowledged';
import { api } from '../api';
import type { App, Panel } from '../app';
import { age, time, utc } from '../format';
import { mayEdit } from '../roles';
import type { AlertFilter } from '../state';
import { texts } from '../texts';
import { h, icon, iconButton, options, setText, timeElement, type IconName } from '../ui/dom';
import { chime } from '../ui/sound';
import { alertFilters } from './alert_filters';
import { ALL, NOTABLE, NO_FILTER, OPEN, PAGE, firstOf, isNotable, nextPage, passesFilter, questionOf, withOlder } from './feed';
import { showNotifications } from './notify/dialog';
import type { AlertEvent } from '../wire/types';

/** Rows shown, and as many more each time that older ones are asked for. */
const SHOWN = 200;
/** An alert that comes this much after its fix says so. */
const LATE_MS = 60_000;
/** The replay of an alert begins so long before it, and reaches so far around it. */
const BEFORE_MS = 60_000;
const AROUND_MS = 15 * 60_000;

export function sentence(alert: AlertEvent): string {
  const kind = texts.alerts.kinds[alert.kind] ?? alert.kind;
  return `${alert.device_name || alert.device} ${kind}${detail(alert)}`;
}

/** What the kind doesn't say: which alarm, from which other place, which geofence. */
export function detail({ attributes, geofence_name }: AlertEvent): string {
  const alarm = attributes.alarm ?? attributes.other_address;
  return `${alarm === undefined ? '' : ` (${String(alarm).replaceAll('_', ' ')})`}${geofence_name ? ` ${geofence_name}` : ''}`;
}

/** Where it happened, on the map. */
export function showPlace(app: App, { lat, lon }: AlertEvent): void {
  // 0,0: the device has not said where it is.
  if (lat !== 0 || lon !== 0) app.view.flyTo(lat, lon);
}

export const iconOf = (kind: string): IconName => (kind === 'enter' || kind === 'exit' || kind === 'trip_start' || kind === 'trip_end' ? kind : 'alerts');

/** All of these, so far as nobody has yet. The server tells every dashboard, this one too. */
async function acknowledge(app: App, alerts: readonly AlertEvent[], note: string): Promise<void> {
  const { acknowledged } = app.store.now;
  const open = alerts.filter((a) => !acknowledged.has(a.event_id)).map((a) => a.event_id);
  for (const part of inParts(open)) await api.acknowledge(part, note);
}

/** What a row does for somebody who may do more than look. */
export interface RowActions {
  acknowledge: (alert: AlertEvent) => void;
  takeBack: (alert: AlertEvent) => void;
}

export function alertRow(app: App, alert: AlertEvent, layer: 'live' | 'replay' = 'live', actions: RowActions | null = null): HTMLElement {
  const given = app.store.now.acknowledged.get(alert.event_id);
  const late = alert.received_at - alert.fix_time;
  const mark = h('span', { class: `alert-icon alert-${alert.kind}` });
  mark.append(icon(iconOf(alert.kind)));
  const row = h('button', {
    type: 'button', class: 'list-main', onclick: () => {
      app.select(layer, alert.device);
      showPlace(app, alert);
      if (alert.geofence) app.highlightFence(alert.geofence);
    },
  }, mark,
  h('span', { class: 'row-main' },
    h('span', { class: 'row-name' }, alert.device_name || alert.device),
    h('span', { class: 'row-sub' }, `${texts.alerts.kinds[alert.kind] ?? alert.kind}${detail(alert)}`,
      late > LATE_MS ? ` · ${texts.alerts.late(age(late))}` : '', alert.retracted ? ` · ${texts.alerts.retracted}` : '',
      given ? ` · ${texts.alerts.acknowledged(given.by, time(given.at), given.note)}` : '')),
  h('span', { class: 'row-side' }, timeElement(time(alert.fix_time), utc(alert.fix_time))));
  const moment = layer === 'live' && iconButton('replay', texts.alerts.replay, () => {
    const at = alert.fix_time - BEFORE_MS;
    app.replay(alert.device, { from: at - AROUND_MS, to: alert.fix_time + AROUND_MS }, at);
  });
  const see = actions && (given ? iconButton('close', texts.alerts.takeBack, () => actions.takeBack(alert))
    : isNotable(alert) && iconButton('check', texts.alerts.acknowledge, () => actions.acknowledge(alert)));
  const classes = ['list-item', ...(alert.retracted ? ['retracted'] : []), ...(given ? ['acknowledged'] : [])];
  return h('li', { class: classes.join(' '), data: { event: alert.event_id } }, row, see, moment);
}

export function alertsPanel(app: App): Panel {
  const { store } = app;
  const choose = (patch: Partial<AlertFilter>): void => store.set({ alertFilter: { ...store.now.alertFilter, ...patch } });
  let limit = SHOWN;
  const question = (): string => JSON.stringify(questionOf(store.now.alertFilter));
  /** From when on the server is asked for older ones, by what it is asked for; null: there are none. */
  const reached = new Map<string, number | null>([[JSON.stringify(questionOf(NO_FILTER)), nextPage(store.now.alerts)]]);
  const search = h('input', {
    type: 'search', class: 'search', placeholder: texts.alerts.search, aria: { label: texts.alerts.search }, oninput: () => choose({ text: search.value }),
  });
  const select = h('select', {
    aria: { label: texts.alerts.kind }, onchange: () => choose({ kind: select.value }),
  });
  options(select, [[NOTABLE, texts.alerts.notable], [OPEN, texts.alerts.open], [ALL, texts.alerts.allKinds], ...Object.entries(texts.alerts.kindNames)], NOTABLE);
  const toasts = h('input', { type: 'checkbox', checked: store.now.toasts, onchange: () => store.set({ toasts: toasts.checked }) });
  const sound = h('input', {
    type: 'checkbox', checked: store.now.sound, onchange: () => {
      store.set({ sound: sound.checked });
      // So it is heard how loud it is.
      if (sound.checked) chime();
    },
  });
  const note = h('input', { type: 'text', class: 'search', maxLength: 500, placeholder: texts.alerts.note, aria: { label: texts.alerts.note } });
  const seenTo = (alerts: readonly AlertEvent[]): void => {
    const said = note.value;
    acknowledge(app, alerts, said).then(() => {
      // Unless the next one is being written already.
      if (note.value === said) note.value = '';
    }, app.report);
  };
  const actions: RowActions = {
    acknowledge: (alert) => seenTo([alert]),
    takeBack: (alert) => void api.takeBackAcknowledgement(alert.event_id).catch(app.report),
  };
  const all = h('button', {
    type: 'button', class: 'button small', onclick: () => seenTo(firstOf(store.now.alerts, passes, limit).shown.filter(isNotable)),
  }, texts.alerts.acknowledgeAll);
  const list = h('ul', { class: 'plain-list', aria: { label: texts.panels.alerts } });
  const empty = h('p', { class: 'empty' });

  const matches = (a: AlertEvent, text: string): boolean => text === '' || sentence(a).toLowerCase().includes(text);
  const passes = (a: AlertEvent): boolean => {
    const { alertFilter, acknowledged } = store.now;
    // What another question brought from further back would have gaps before it.
    return a.received_at >= (reached.get(question()) ?? 0) && passesFilter(a, alertFilter, acknowledged) && matches(a, alertFilter.text.trim().toLowerCase());
  };
  const older = h('button', {
    type: 'button', class: 'button small', onclick: () => {
      const { more } = firstOf(store.now.alerts, passes, limit);
      limit += SHOWN;
      if (!more) loadOlder();
      render();
    },
  }, texts.alerts.older);
  const reach = h('span', { class: 'hint', role: 'status' });
  const foot = h('div', { class: 'button-row panel-foot' }, older, reach);
  function loadOlder(): void {
    const asked = question();
    const before = reached.get(asked);
    if (before === null || older.disabled) return;
    older.disabled = true;
    api.events({ limit: PAGE, ...questionOf(store.now.alertFilter), ...(before === undefined ? {} : { received_to: before }) }).then(({ events }) => {
      reached.set(asked, nextPage(events, before));
      store.set({ alerts: withOlder(store.now.alerts, events), acknowledged: new Map([...acknowledgedOf(events), ...store.now.acknowledged]) });
    }).catch(app.report).finally(() => {
      older.disabled = false;
      // Somebody has chosen another filter meanwhile.
      if (!reached.has(question()) && question() !== asked) loadOlder();
      render();
    });
  }
  const rows = new Map<string, HTMLElement>();
  let scheduled = false;
  function render(): void {
    if (element.hidden || scheduled) return;
    scheduled = true;
    // Many alerts at once are one change of the list.
    requestAnimationFrame(() => {
      scheduled = false;
      const { alerts } = store.now;
      const matching = firstOf(alerts, passes, limit);
      const shown = matching.shown.map((a) => {
        const given = store.now.acknowledged.get(a.event_id);
        const key = JSON.stringify([a.event_id, a.retracted, given]);
        const row = rows.get(key) ?? alertRow(app, a, 'live', mayEdit(store.now) ? actions : null);
        rows.set(key, row);
        return row;
      });
      if (rows.size > 4 * limit) rows.clear();
      list.replaceChildren(...shown);
      empty.hidden = shown.length > 0;
      const before = reached.get(question());
      foot.hidden = before === null && !matching.more;
      setText(reach, before == null || matching.more ? '' : texts.alerts.reach(time(before)));
      setText(empty, !alerts.some(isNotable) && JSON.stringify(store.now.alertFilter) === JSON.stringify(NO_FILTER) ? texts.alerts.empty : texts.alerts.none);
    });
  }
  const editing = h('div', { class: 'button-row' }, all,
    h('button', { type: 'button', class: 'button small', onclick: () => showNotifications(app) }, texts.notify.open));
  const element = h('div', { class: 'panel-body list-panel' },
    h('div', { class: 'panel-tools' }, search, h('div', { class: 'field-row' }, select,
      h('label', { class: 'check' }, toasts, texts.alerts.toasts), h('label', { class: 'check' }, sound, texts.alerts.sound)),
    alertFilters(app, choose), note, editing), empty, h('div', { class: 'scroller' }, list), foot);
  store.on(['session'], (state) => {
    note.hidden = editing.hidden = !mayEdit(state);
    // Rows have buttons or not.
    rows.clear();
    render();
  });
  store.on(['alertFilter'], ({ alertFilter }) => {
    select.value = alertFilter.kind;
    if (search.value !== alertFilter.text) search.value = alertFilter.text;
    limit = SHOWN;
    if (!reached.has(question())) loadOlder();
    render();
  });
  store.on(['alerts', 'acknowledged'], render);
  return {
    element,
    shown: () => {
      store.set({ unseenAlerts: 0 });
      render();
    },
  };
}
