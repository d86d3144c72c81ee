/** The last trips of a vehicle, each a way to its replay. */

import { api } from '../api';
import type { App } from '../app';
import { kmhOf, speedText, lengthText, time, timeOfDay, utc } from '../format';
import { literal } from '../sql/literal';
import { serverNow } from '../state';
import { texts } from '../texts';
import { h, icon, timeElement } from '../ui/dom';

const SHOWN = 10;
/** A replay shows a little of what was before and after. */
const MARGIN_MS = 60_000;

interface Trip { from: number; to: number | null; metres: number; maxMps: number | null }

async function lastTrips(device: string): Promise<Trip[]> {
  const { rows } = await api.sql(`SELECT started_at, ended_at, distance_m, max_speed_mps FROM trips
    WHERE device = ${literal(device)} ORDER BY started_at DESC LIMIT ${SHOWN}`);
  return rows.map(([from, to, distance, maxMps]) => ({
    from: Date.parse(String(from)), to: to === null ? null : Date.parse(String(to)), metres: Number(distance), maxMps: maxMps === null ? null : Number(maxMps),
  }));
}

/** `show` fetches; a vehicle without a trip has no list. */
export function tripList(app: App): { element: HTMLElement; show: (device: string) => Promise<void> } {
  const list = h('ul', { class: 'plain-list trips', aria: { label: texts.trips.title } });
  const element = h('div', { hidden: true }, h('h3', {}, texts.trips.title), list);
  let shown = '';
  return {
    element,
    show: async (device) => {
      shown = device;
      element.hidden = true;
      const trips = await lastTrips(device);
      if (shown !== device) return;
      element.hidden = trips.length === 0;
      list.replaceChildren(...trips.map((trip) => {
        const end = trip.to ?? serverNow(app.store.now);
        const row = h('button', {
          type: 'button', class: 'list-main', title: texts.trips.replay,
          onclick: () => app.replay(device, { from: trip.from - MARGIN_MS, to: Math.round(end + MARGIN_MS) }),
        }, h('span', { class: 'alert-icon' }, icon('replay')), h('span', { class: 'row-main' },
          h('span', { class: 'row-name' }, timeElement(time(trip.from), utc(trip.from)), trip.to === null ? texts.trips.goesOn : ` – ${timeOfDay(trip.to)}`),
          // How long a trip is, is told at its end.
          trip.to !== null && h('span', { class: 'row-sub' },
            `${lengthText(trip.metres)} · ${texts.trips.most(speedText(trip.maxMps === null ? null : kmhOf(trip.maxMps)))}`)));
        return h('li', { class: 'list-item', data: { trip: String(trip.from) } }, row);
      }));
    },
  };
}
