/** What a vehicle has to show to be taken for itself: a token, and addresses to speak from. */

import { api, messageOf } from '../api';
import { time } from '../format';
import { texts } from '../texts';
import { field, h, setText } from '../ui/dom';
import { showOnce } from '../ui/once';
import type { DeviceAccessInfo } from '../wire/types';

export function showAccess(device: string, name: string): void {
  const error = h('p', { class: 'error', role: 'alert' });
  const token = h('p', {});
  const revoke = h('button', { type: 'button', class: 'button', onclick: () => {
    if (confirm(texts.access.confirmRevoke(name))) api.revokeDeviceToken(device).then(load, failed);
  } }, texts.access.revoke);
  const make = h('button', { type: 'button', class: 'button', onclick: () => {
    api.makeDeviceToken(device).then((made) => {
      showOnce(texts.access.tokenOf(name), made.token, texts.access.tokenHint);
      load();
    }, failed);
  } }, texts.access.make);
  const addresses = h('textarea', { rows: 4, placeholder: '10.20.0.0/16' });
  const failed = (e: unknown): void => setText(error, messageOf(e));

  function show(access: DeviceAccessInfo): void {
    setText(error, '');
    setText(token, access.token ? texts.access.has(access.token.made_by, time(access.token.made_at)) : texts.access.hasNone);
    revoke.hidden = access.token === null;
    addresses.value = access.addresses.join('\n');
  }
  const load = (): void => {
    api.deviceAccess(device).then(show, failed);
  };

  const form = h('form', {
    class: 'form', onsubmit: (event: SubmitEvent) => {
      event.preventDefault();
      api.setDeviceAddresses(device, addresses.value.split(/[\s,]+/).filter((text) => text !== '')).then(show, failed);
    },
  }, field(texts.access.addresses, addresses), h('p', { class: 'hint' }, texts.access.addressesHint),
  h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, texts.save)));
  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog tabs-dialog', aria: { label: texts.access.title(name) }, onclose: () => dialog.remove() },
    h('h2', {}, texts.access.title(name)), h('p', { class: 'hint' }, texts.access.hint), token, h('div', { class: 'button-row' }, make, revoke), form, error,
    h('form', { method: 'dialog', class: 'button-row' }, h('button', { type: 'submit', class: 'button' }, texts.close)));
  document.body.append(dialog);
  dialog.showModal();
  load();
}
