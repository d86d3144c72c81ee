/** Devices that were refused because nobody has entered them: owners and installers adopt them, owners dismiss them. */

import { api, messageOf } from '../api';
import type { App } from '../app';
import { time } from '../format';
import { adoptsDevices } from '../roles';
import { texts } from '../texts';
import { field, h, iconButton, options, setText } from '../ui/dom';
import type { UnknownDeviceInfo } from '../wire/types';

/** How often it is asked, while the vehicles are listed, whether there are any. */
const ASK_MS = 60_000;

/** A button that tells how many there are, and is there only if there are some. */
export function unknownDevicesButton(app: App): { element: HTMLElement; shown: () => void } {
  const element = h('button', { type: 'button', class: 'button small', hidden: true, data: { unknown: '' }, onclick: () => showUnknownDevices(app, count) });
  const count = (devices: number): void => {
    element.hidden = devices === 0;
    setText(element, texts.unknown.count(devices));
  };
  const ask = (): void => {
    if (!adoptsDevices(app.store.now)) return;
    // Without an answer there is no button: nobody has asked for one.
    api.unknownDevices().then((devices) => count(devices.length)).catch(() => count(0));
  };
  setInterval(() => {
    if (app.store.now.panel === 'vehicles') ask();
  }, ASK_MS);
  return { element, shown: ask };
}

/** `changed` is told how many are left. */
function showUnknownDevices(app: App, changed: (devices: number) => void): void {
  const { store } = app;
  const error = h('p', { class: 'error', role: 'alert' });
  const empty = h('p', { class: 'empty', hidden: true }, texts.unknown.none);
  const list = h('ul', { class: 'plain-list' });
  const overview = h('div', {}, empty, list);
  const editor = h('div', { hidden: true });
  const failed = (e: unknown): void => setText(error, messageOf(e));

  function load(): void {
    editor.hidden = true;
    overview.hidden = false;
    setText(error, '');
    api.unknownDevices().then((devices) => {
      changed(devices.length);
      empty.hidden = devices.length > 0;
      list.replaceChildren(...devices.map(row));
    }).catch(failed);
  }

  function row(device: UnknownDeviceInfo): HTMLElement {
    const from = [device.protocol, device.address, texts.unknown.refused(device.times, time(device.last_seen))].filter((part) => part !== null).join(' · ');
    return h('li', { class: 'list-item', data: { device: device.id } },
      h('div', { class: 'list-main', title: texts.unknown.since(time(device.first_seen)) },
        h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, device.id), h('span', { class: 'row-sub' }, from))),
      h('button', { type: 'button', class: 'button small', aria: { label: `${texts.unknown.adopt} ${device.id}` }, onclick: () => open(device) }, texts.unknown.adopt),
      store.now.session.role === 'owner' && iconButton('bin', `${texts.unknown.dismiss} ${device.id}`, () => {
        api.dismissUnknownDevice(device.id).then(load, failed);
      }));
  }

  function open(device: UnknownDeviceInfo): void {
    setText(error, '');
    const name = h('input', { maxLength: 100, required: true });
    const fleet = h('select', {});
    options(fleet, store.now.fleets.map((f) => [f.id, f.name] as const), device.fleet);
    overview.hidden = true;
    editor.hidden = false;
    editor.replaceChildren(h('form', {
      class: 'form', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        api.adoptUnknownDevice(device.id, { name: name.value.trim(), fleet: fleet.value }).then(() => {
          app.toast(texts.unknown.adopted(name.value.trim()));
          load();
        }, failed);
      },
    }, h('p', {}, device.id), field(texts.unknown.name, name), field(texts.vehicles.fleet, fleet),
    h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, texts.unknown.adopt),
      h('button', { type: 'button', class: 'button', onclick: load }, texts.cancel))));
    name.focus();
  }

  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog tabs-dialog', aria: { label: texts.unknown.title }, onclose: () => dialog.remove() },
    h('h2', {}, texts.unknown.title), h('p', { class: 'hint' }, texts.unknown.hint), h('div', { class: 'tab-page' }, overview, editor, error),
    h('form', { method: 'dialog', class: 'button-row' }, h('button', { type: 'submit', class: 'button' }, texts.close)));
  document.body.append(dialog);
  dialog.showModal();
  load();
}
