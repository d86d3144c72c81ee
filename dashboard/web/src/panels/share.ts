/** Links by which somebody without an account sees one vehicle for a while: made, looked at, ended. */

import { api, messageOf } from '../api';
import type { App } from '../app';
import { fromLocalInput, time, toLocalInput, utc } from '../format';
import { serverNow } from '../state';
import { texts } from '../texts';
import { field, h, iconButton, options, setText } from '../ui/dom';
import { showOnce } from '../ui/once';
import { submitting } from '../ui/submitting';
import type { ShareLinkInfo } from '../wire/types';

const HOUR_MS = 3_600_000;
const LONGEST_MS = 30 * 24 * HOUR_MS;
const LENGTHS = { 1: HOUR_MS, 4: 4 * HOUR_MS, 24: 24 * HOUR_MS } as const;
type Length = '1' | '4' | '24' | 'until';

export function showShareLinks(app: App, device: string, name: string): void {
  const error = h('p', { class: 'error', role: 'alert' });
  const empty = h('p', { class: 'empty', hidden: true }, texts.share.noLinks);
  const list = h('ul', { class: 'plain-list' });
  const label = h('input', { maxLength: 100, placeholder: name });
  const length = h('select', {});
  options<Length>(length, (['1', '4', '24', 'until'] as const).map((l) => [l, texts.share.lengths[l]] as const), '4');
  const until = h('input', { type: 'datetime-local', step: '60' });
  const untilField = field(texts.share.until, until);
  untilField.hidden = true;
  /** By the server's clock, which is the one that ends it. */
  const now = (): number => serverNow(app.store.now);
  length.onchange = () => {
    untilField.hidden = length.value !== 'until';
    until.required = !untilField.hidden;
    if (until.value === '') until.value = toLocalInput(now() + 4 * HOUR_MS).slice(0, 16);
    until.max = toLocalInput(now() + LONGEST_MS).slice(0, 16);
  };
  const failed = (e: unknown): void => setText(error, messageOf(e));

  function load(): void {
    setText(error, '');
    api.shareLinks(device).then((links) => {
      empty.hidden = links.length > 0;
      list.replaceChildren(...links.map(row));
    }).catch(failed);
  }

  function row(link: ShareLinkInfo): HTMLElement {
    const shown = link.label ?? name;
    return h('li', { class: 'list-item', data: { link: link.id } },
      h('div', { class: 'list-main', title: utc(link.expires_at) },
        h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, shown),
          h('span', { class: 'row-sub' }, texts.share.link(time(link.expires_at), link.made_by)))),
      iconButton('bin', texts.share.end(shown), () => {
        api.endShareLink(device, link.id).then(load, failed);
      }));
  }

  const form = h('form', {
    class: 'form', onsubmit: submitting(() => {
      const chosen = length.value as Length;
      const expires_at = chosen === 'until' ? fromLocalInput(until.value) : now() + LENGTHS[chosen];
      const text = label.value.trim();
      return api.createShareLink(device, { expires_at, ...(text === '' ? {} : { label: text }) }).then(({ path }) => {
        showOnce(texts.share.linkOf(text || name), new URL(path.replace(/^\//, ''), new URL('.', location.href)).href, texts.share.linkHint);
        label.value = '';
        load();
      });
    }, failed),
  }, field(texts.share.length, length), untilField, field(texts.share.label, label),
  h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, texts.share.create)));

  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog tabs-dialog', aria: { label: texts.share.title(name) }, onclose: () => dialog.remove() },
    h('h2', {}, texts.share.title(name)), h('p', { class: 'hint' }, texts.share.hint), form,
    h('div', { class: 'tab-page' }, h('h3', {}, texts.share.open), empty, list, error),
    h('form', { method: 'dialog', class: 'button-row' }, h('button', { type: 'submit', class: 'button' }, texts.close)));
  document.body.append(dialog);
  dialog.showModal();
  load();
}
