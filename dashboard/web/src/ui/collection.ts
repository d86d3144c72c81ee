/** A list of things with names that are made, changed and deleted; the form for one stands in place of the list. */

import { messageOf } from '../api';
import { texts } from '../texts';
import { field, h, iconButton, setText } from './dom';
import { submitting } from './submitting';
import type { Tab } from './tabs';

interface Named { id: string; name: string }

export interface Form<Edit> {
  fields: HTMLElement[];
  /** What the fields say, under this name. */
  edit: (name: string) => Edit;
}

export interface Collection<Item extends Named, Edit> {
  empty: string;
  create: string;
  /** What the name is called. */
  nameLabel?: string;
  /** The name is what it is known by: it can't be changed. */
  nameStays?: boolean;
  /** Nothing of it can be changed. */
  stays?: boolean;
  load: () => Promise<Item[]>;
  /** A second line. */
  describe: (item: Item) => string;
  /** Further buttons of a row. */
  actions?: (item: Item) => HTMLElement[];
  form: (existing: Item | null) => Form<Edit>;
  /** `id` null: a new one. */
  save: (id: string | null, edit: Edit) => Promise<unknown>;
  remove: (id: string) => Promise<unknown>;
}

export function collectionTab<Item extends Named, Edit>(of: Collection<Item, Edit>): Tab {
  const error = h('p', { class: 'error', role: 'alert' });
  const empty = h('p', { class: 'empty', hidden: true }, of.empty);
  const list = h('ul', { class: 'plain-list' });
  const create = h('button', { type: 'button', class: 'button', data: { create: '' }, onclick: () => open(null) }, of.create);
  const overview = h('div', {}, empty, list, h('div', { class: 'button-row' }, create));
  const editor = h('div', { hidden: true });
  const element = h('div', { class: 'tab-page' }, overview, editor, error);
  const failed = (e: unknown): void => setText(error, messageOf(e));

  function close(): void {
    editor.hidden = true;
    overview.hidden = false;
    setText(error, '');
    load();
  }

  function load(): void {
    of.load().then((items) => {
      empty.hidden = items.length > 0;
      list.replaceChildren(...items.map((item) => h('li', { class: 'list-item', data: { item: item.id } },
        h('div', { class: 'list-main' }, h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, item.name), h('span', { class: 'row-sub' }, of.describe(item)))),
        ...(of.actions?.(item) ?? []),
        ...(of.stays ? [] : [iconButton('edit', `${texts.edit} ${item.name}`, () => open(item))]),
        iconButton('bin', `${texts.delete} ${item.name}`, () => {
          if (confirm(texts.notify.confirmDelete(item.name))) of.remove(item.id).then(close, failed);
        }))));
    }).catch(failed);
  }

  function open(existing: Item | null): void {
    setText(error, '');
    const form = of.form(existing);
    const name = h('input', { value: existing?.name ?? '', maxLength: 100, required: true, disabled: existing !== null && of.nameStays === true });
    overview.hidden = true;
    editor.hidden = false;
    editor.replaceChildren(h('form', {
      class: 'form', onsubmit: submitting(() => of.save(existing?.id ?? null, form.edit(name.value.trim())).then(close), failed),
    }, field(of.nameLabel ?? texts.notify.name, name), ...form.fields,
    h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, texts.save),
      h('button', { type: 'button', class: 'button', onclick: close }, texts.cancel))));
    name.focus();
  }

  return { element, shown: close };
}
