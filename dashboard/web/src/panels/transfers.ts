/** Devices that go from one organisation to another: offered with a code by the one, taken with it by the other. */

import { api, messageOf } from '../api';
import type { App } from '../app';
import { time } from '../format';
import { mayEdit } from '../roles';
import { texts } from '../texts';
import { field, h, options, setText } from '../ui/dom';
import { showOnce } from '../ui/once';
import type { TransferInfo } from '../wire/types';

/** A button that opens what is offered and what may be taken. */
export function transfersButton(app: App): HTMLElement {
  const element = h('button', { type: 'button', class: 'button small', data: { transfers: '' }, onclick: () => showTransfers(app) }, texts.transfers.redeem);
  app.store.on(['session'], (state) => {
    element.hidden = !mayEdit(state);
  });
  return element;
}

/** A button that offers the vehicle that is shown. */
export function handOverButton(app: App): HTMLElement {
  const element = h('button', {
    type: 'button', class: 'button small', data: { handOver: '' }, onclick: () => {
      const { selected } = app.store.now;
      if (selected) handOver(app, selected.device).catch(app.report);
    },
  }, texts.transfers.handOver);
  app.store.on(['selected', 'session'], (state) => {
    element.hidden = state.selected?.layer !== 'live' || !mayEdit(state);
  });
  return element;
}

/** Asks, and shows the code; of a vehicle that is offered already it shows how to take that back. */
async function handOver(app: App, device: string): Promise<void> {
  const { name } = await api.device(device);
  if ((await api.transfers()).some((offer) => offer.device === device)) {
    showTransfers(app);
    return;
  }
  if (!confirm(texts.transfers.confirm(name))) return;
  const { code, transfer } = await api.offerDevice(device);
  showOnce(texts.transfers.codeOf(name), code, texts.transfers.codeHint(time(transfer.expires_at)));
}

function showTransfers(app: App): void {
  const { store } = app;
  const error = h('p', { class: 'error', role: 'alert' });
  const offered = h('h3', { hidden: true }, texts.transfers.offered);
  const list = h('ul', { class: 'plain-list' });
  const failed = (e: unknown): void => setText(error, messageOf(e));

  function load(): void {
    setText(error, '');
    api.transfers().then((offers) => {
      offered.hidden = offers.length === 0;
      list.replaceChildren(...offers.map(row));
    }).catch(failed);
  }

  function row(offer: TransferInfo): HTMLElement {
    return h('li', { class: 'list-item', data: { device: offer.device } },
      h('div', { class: 'list-main' }, h('span', { class: 'row-main' },
        h('span', { class: 'row-name' }, offer.name), h('span', { class: 'row-sub' }, texts.transfers.by(offer.by, time(offer.expires_at))))),
      h('button', {
        type: 'button', class: 'button small', aria: { label: `${texts.transfers.withdraw} ${offer.name}` },
        onclick: () => {
          api.withdrawOffer(offer.device).then(load, failed);
        },
      }, texts.transfers.withdraw));
  }

  const code = h('input', { maxLength: 100, required: true, autocomplete: 'off', spellcheck: false });
  const name = h('input', { maxLength: 100, required: true });
  const fleet = h('select', {});
  options(fleet, store.now.fleets.map((f) => [f.id, f.name] as const), store.now.fleets[0]?.id ?? '');
  const form = h('form', {
    class: 'form', onsubmit: (event: SubmitEvent) => {
      event.preventDefault();
      setText(error, '');
      api.redeemTransfer({ code: code.value.trim(), name: name.value.trim(), fleet: fleet.value }).then((device) => {
        app.toast(texts.transfers.taken(device.name));
        dialog.close();
      }, failed);
    },
  }, h('p', { class: 'hint' }, texts.transfers.hint), field(texts.transfers.code, code), field(texts.transfers.name, name), field(texts.vehicles.fleet, fleet),
  h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, texts.transfers.take)));

  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog tabs-dialog', aria: { label: texts.transfers.title }, onclose: () => dialog.remove() },
    h('h2', {}, texts.transfers.title), h('div', { class: 'tab-page' }, form, offered, list, error),
    h('form', { method: 'dialog', class: 'button-row' }, h('button', { type: 'submit', class: 'button' }, texts.close)));
  document.body.append(dialog);
  dialog.showModal();
  load();
}
