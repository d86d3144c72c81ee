/** Who changed what, for owners: newest first, older ones on request. */

import { api, messageOf } from '../api';
import { time, utc } from '../format';
import { texts } from '../texts';
import { h, options, setText, timeElement } from '../ui/dom';
import type { ChangeInfo } from '../wire/types';
import { accessOf, differences, sentence } from './change_words';

const row = (change: ChangeInfo): HTMLElement => h('li', { class: 'list-item', data: { change: change.change } },
  h('div', { class: 'list-main' }, h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, sentence(change)),
    ...differences(change).map(({ field, was, is }) => h('span', { class: 'row-sub' }, texts.changes.difference(field, was, is))),
    h('span', { class: 'row-sub' }, accessOf(change))),
  h('span', { class: 'row-side' }, timeElement(time(change.at), utc(change.at)))));

export function showChanges(): void {
  const error = h('p', { class: 'error', role: 'alert' });
  const empty = h('p', { class: 'empty', hidden: true }, texts.changes.none);
  const list = h('ul', { class: 'plain-list' });
  const kind = h('select', { aria: { label: texts.changes.kind }, onchange: () => load() });
  options(kind, Object.entries(texts.changes.kinds), '');
  const user = h('input', { type: 'search', placeholder: texts.changes.user, aria: { label: texts.changes.user }, onchange: () => load() });
  const refresh = h('button', { type: 'button', class: 'button small', onclick: () => load() }, texts.changes.refresh);
  const older = h('button', { type: 'button', class: 'button', hidden: true, onclick: () => more() }, texts.changes.older);
  const dialog: HTMLDialogElement = h('dialog', {
    class: 'dialog tabs-dialog changes', aria: { label: texts.changes.title }, onclose: () => {
      turn += 1;
      dialog.remove();
    },
  },
  h('h2', {}, texts.changes.title), h('div', { class: 'field-row' }, kind, user, refresh),
  // Who has no mouse scrolls it by the keyboard.
  h('div', { class: 'tab-page', role: 'region', tabIndex: 0, aria: { label: texts.changes.title } }, empty, list, h('div', { class: 'button-row' }, older), error),
  h('form', { method: 'dialog', class: 'button-row' }, h('button', { type: 'submit', class: 'button' }, texts.close)));

  let before: string | null = null;
  /** Grows with every question: an answer to an earlier one comes too late. */
  let turn = 0;

  function load(): void {
    list.replaceChildren();
    before = null;
    more();
  }

  function more(): void {
    turn += 1;
    older.hidden = true;
    empty.hidden = true;
    setText(error, '');
    const mine = turn;
    next(mine).catch((e: unknown) => {
      if (mine === turn) setText(error, messageOf(e));
    });
  }

  /** The server looks at so many for one answer: where few are picked, several may be empty. */
  async function next(mine: number): Promise<void> {
    let found = 0;
    do {
      const page = await api.changes({ kind: kind.value || null, user: user.value.trim() || null, before });
      if (mine !== turn) return;
      found = page.changes.length;
      list.append(...page.changes.map(row));
      before = page.before;
    } while (found === 0 && before !== null);
    empty.hidden = list.childElementCount > 0;
    older.hidden = before === null;
  }

  document.body.append(dialog);
  dialog.showModal();
  load();
}
