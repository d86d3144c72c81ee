/** What happened to one vehicle last, and what happens to it now. */

import { api } from '../api';
import type { App } from '../app';
import { time, utc } from '../format';
import { texts } from '../texts';
import { h, icon, timeElement } from '../ui/dom';
import type { AlertEvent } from '../wire/types';
import { detail, iconOf, showPlace } from './alerts';
import { instructionName } from './commands';

const SHOWN = 20;

/** Each once, as it was told last; newest first, no more than are shown. */
export function newestFirst(known: readonly AlertEvent[], told: readonly AlertEvent[]): AlertEvent[] {
  const byId = new Map([...known, ...told].map((event) => [event.event_id, event]));
  return [...byId.values()].sort((a, b) => b.fix_time - a.fix_time).slice(0, SHOWN);
}

/** What a command was, and what came of it. */
function said({ attributes: { instruction, answer, reason } }: AlertEvent): string {
  const parts = [instruction === undefined ? '' : instructionName(String(instruction)), String(answer ?? reason ?? '')];
  return parts.filter((part) => part !== '').join(': ');
}

/** `show` fetches, and follows from then on. */
export function eventList(app: App): { element: HTMLElement; show: (device: string) => Promise<void> } {
  const list = h('ul', { class: 'plain-list', aria: { label: texts.deviceEvents.title } });
  const none = h('p', { class: 'muted' });
  const element = h('div', {}, h('h3', {}, texts.deviceEvents.title), none, list);
  let shown = '';
  let events: AlertEvent[] = [];

  function render(): void {
    none.hidden = events.length > 0;
    none.textContent = texts.deviceEvents.none;
    list.replaceChildren(...events.map((event) => {
      const sub = [said(event), event.retracted ? texts.alerts.retracted : ''].filter((text) => text !== '').join(' · ');
      const row = h('button', {
        type: 'button', class: 'list-main', onclick: () => {
          showPlace(app, event);
          if (event.geofence) app.highlightFence(event.geofence);
        },
      }, h('span', { class: `alert-icon alert-${event.kind}` }, icon(iconOf(event.kind))),
      h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, `${texts.alerts.kinds[event.kind] ?? event.kind}${detail(event)}`),
        sub !== '' && h('span', { class: 'row-sub', title: sub }, sub)),
      h('span', { class: 'row-side' }, timeElement(time(event.fix_time), utc(event.fix_time))));
      return h('li', { class: `list-item${event.retracted ? ' retracted' : ''}`, data: { happened: event.kind } }, row);
    }));
  }

  app.engine.on('alert', (event) => {
    if (event.device !== shown) return;
    events = newestFirst(events, [event]);
    render();
  });
  return {
    element,
    show: async (device) => {
      shown = device;
      events = [];
      list.replaceChildren();
      none.hidden = false;
      none.textContent = texts.loading;
      const fetched = await api.events({ device, limit: SHOWN });
      if (shown !== device) return;
      // What was told meanwhile is newer than the answer.
      events = newestFirst(fetched.events, events);
      render();
    },
  };
}
