/** Queries that the organisation keeps: chosen into the editor, saved from it, renamed, deleted. */

import { api, messageOf } from '../api';
import type { App } from '../app';
import { mayEdit } from '../roles';
import { texts } from '../texts';
import { h, iconButton, options, setText } from '../ui/dom';
import type { SavedQueryEdit, SavedQueryInfo } from '../wire/types';

/** `editor`: where a chosen one goes, and from where one is saved. */
export function savedQueries(app: App, editor: { value: string }): { element: HTMLElement; shown: () => void } {
  let queries: SavedQueryInfo[] = [];
  /** What the name that is being written is for; null: a new query. */
  let renamed: SavedQueryInfo | null = null;
  const chosen = (): SavedQueryInfo | undefined => queries.find(({ id }) => id === select.value);

  const select = h('select', {
    aria: { label: texts.savedQueries.title }, onchange: () => {
      const query = chosen();
      if (query) editor.value = query.query;
      follow();
    },
  });
  const error = h('p', { class: 'error', role: 'alert' });
  const acting = (work: () => Promise<void>) => (): void => {
    setText(error, '');
    work().catch((e: unknown) => setText(error, messageOf(e)));
  };
  const save = h('button', {
    type: 'button', class: 'button small', onclick: acting(async () => {
      const query = chosen();
      if (query) await keep(query.id, { name: query.name, query: editor.value });
      else ask(null);
    }),
  }, texts.savedQueries.save);
  const saveAs = h('button', { type: 'button', class: 'button small', onclick: () => ask(null) }, texts.savedQueries.saveAs);
  const rename = iconButton('edit', texts.savedQueries.rename, () => ask(chosen() ?? null));
  const remove = iconButton('bin', texts.savedQueries.remove, acting(async () => {
    const query = chosen();
    if (!query || !confirm(texts.notify.confirmDelete(query.name))) return;
    await api.deleteQuery(query.id);
    await load('');
  }));
  const name = h('input', { required: true, maxLength: 100, aria: { label: texts.savedQueries.name } });
  const naming = h('form', {
    class: 'button-row', hidden: true, onsubmit: (event: SubmitEvent) => {
      event.preventDefault();
      // Renamed, it is otherwise as it was, whatever the editor has now.
      acting(() => keep(renamed?.id ?? null, { name: name.value.trim(), query: renamed?.query ?? editor.value }))();
    },
  }, h('span', { class: 'grow' }, name), h('button', { type: 'submit', class: 'button small primary' }, texts.save),
  h('button', { type: 'button', class: 'button small', onclick: () => close() }, texts.cancel));

  function follow(): void {
    const none = chosen() === undefined;
    rename.disabled = none;
    remove.disabled = none;
    saveAs.hidden = none;
  }

  function ask(query: SavedQueryInfo | null): void {
    renamed = query;
    name.value = query?.name ?? '';
    naming.hidden = false;
    name.focus();
  }

  function close(): void {
    naming.hidden = true;
    setText(error, '');
  }

  async function keep(id: string | null, edit: SavedQueryEdit): Promise<void> {
    const kept = id === null ? await api.createQuery(edit) : await api.changeQuery(id, edit);
    close();
    await load(kept.id);
    app.toast(texts.savedQueries.saved(kept.name));
  }

  async function load(wanted: string): Promise<void> {
    queries = await api.queries();
    const known = queries.some(({ id }) => id === wanted);
    options(select, [['', texts.savedQueries.title], ...queries.map((query) => [query.id, query.name] as const)], known ? wanted : '');
    follow();
  }

  options(select, [['', texts.savedQueries.title]], '');
  follow();
  const editing = h('div', { class: 'button-row' }, save, saveAs, rename, remove);
  app.store.on(['session'], (state) => {
    editing.hidden = !mayEdit(state);
    if (editing.hidden) close();
  });
  return {
    element: h('div', { class: 'saved-queries' }, h('div', { class: 'button-row' }, select, editing), naming, error),
    // Others may have edited meanwhile.
    shown: acting(() => load(select.value)),
  };
}
