/** What has become of notifications; dead ones can be tried again. */

import { api, messageOf } from '../../api';
import type { App } from '../../app';
import { time, utc } from '../../format';
import { texts } from '../../texts';
import { h, iconButton, options, setText, timeElement } from '../../ui/dom';
import type { Tab } from '../../ui/tabs';
import type { DeliveryInfo } from '../../wire/types';

const STATES = ['', 'pending', 'delivered', 'dead'] as const;

export function deliveriesTab(app: App): Tab {
  const error = h('p', { class: 'error', role: 'alert' });
  const empty = h('p', { class: 'empty', hidden: true }, texts.notify.noDeliveries);
  const list = h('ul', { class: 'plain-list' });
  const state = h('select', { aria: { label: texts.notify.state }, onchange: () => load() });
  options(state, STATES.map((s) => [s, texts.notify.states[s]] as const), '');
  const refresh = h('button', { type: 'button', class: 'button small', onclick: () => load() }, texts.notify.refresh);

  const row = (delivery: DeliveryInfo): HTMLElement => h('li', { class: 'list-item', data: { delivery: delivery.id, state: delivery.state } },
    h('div', { class: 'list-main' }, h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, delivery.headline),
      h('span', { class: 'row-sub', title: delivery.note ?? '' },
        [texts.notify.states[delivery.state], texts.notify.attempts(delivery.attempts), ...(delivery.note === null ? [] : [delivery.note])].join(' · '))),
    h('span', { class: 'row-side' }, timeElement(time(delivery.changed_at), utc(delivery.changed_at)))),
    delivery.state === 'dead' && iconButton('replay', `${texts.retry}: ${delivery.headline}`, () => {
      api.retryDelivery(delivery.id).then(load).catch(app.report);
    }));

  function load(): void {
    api.deliveries(state.value).then(({ deliveries, truncated }) => {
      empty.hidden = deliveries.length > 0;
      list.replaceChildren(...deliveries.map(row));
      setText(error, truncated ? texts.notify.newestShown(deliveries.length) : '');
    }).catch((e: unknown) => setText(error, messageOf(e)));
  }

  return { element: h('div', { class: 'tab-page' }, h('div', { class: 'field-row' }, state, refresh), empty, list, error), shown: load };
}
