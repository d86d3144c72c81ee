/** SQL on the history: a query, its table, a CSV of all of it. */

import { api, messageOf } from '../api';
import type { App } from '../app';
import type { Panel } from '../app';
import { texts } from '../texts';
import { download, h, options, setText } from '../ui/dom';
import type { SqlAnswer } from '../wire/types';

/** A table of more rows than this is no use to look at; the CSV has them all. */
const SHOWN_ROWS = 1000;

export function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

const isNumeric = (type: string): boolean => /int|float|double|decimal|real/i.test(type);

export function sqlPanel(app: App): Panel {
  const editor = h('textarea', {
    class: 'sql-editor', rows: 6, spellcheck: false, value: texts.sql.exampleList[0][1], aria: { label: texts.sql.editor }, onkeydown: (event: KeyboardEvent) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        run().catch(app.report);
      } else if (event.key === 'Tab' && !event.shiftKey && editor.selectionStart !== editor.selectionEnd) {
        event.preventDefault();
        editor.setRangeText('  ', editor.selectionStart, editor.selectionEnd, 'end');
      }
    },
  });
  const examples = h('select', {
    aria: { label: texts.sql.examples }, onchange: () => {
      const chosen = texts.sql.exampleList[Number(examples.value)];
      if (examples.value !== '' && chosen) editor.value = chosen[1];
      examples.value = '';
    },
  });
  options(examples, [['', texts.sql.examples], ...texts.sql.exampleList.map(([name], i) => [String(i), name] as const)], '');
  const runButton = h('button', { type: 'button', class: 'button primary', onclick: () => run().catch(app.report) }, texts.sql.run);
  const csvButton = h('button', { type: 'button', class: 'button', onclick: () => csv().catch(app.report) }, texts.sql.csv);
  const status = h('span', { class: 'muted', role: 'status' });
  const error = h('pre', { class: 'error sql-error', role: 'alert', hidden: true });
  const result = h('div', { class: 'sql-result', tabIndex: 0, role: 'group', aria: { label: texts.sql.result } });
  /** Answers to queries that were replaced meanwhile are dropped. */
  let asked = 0;

  function fail(e: unknown): void {
    error.hidden = false;
    setText(error, messageOf(e));
    setText(status, '');
  }

  async function run(): Promise<void> {
    const mine = ++asked;
    error.hidden = true;
    runButton.disabled = true;
    setText(status, texts.sql.running);
    const began = performance.now();
    try {
      const answer = await api.sql(editor.value);
      if (mine === asked) show(answer, Math.round(performance.now() - began));
    } catch (e) {
      if (mine === asked) fail(e);
    } finally {
      runButton.disabled = false;
    }
  }

  async function csv(): Promise<void> {
    error.hidden = true;
    try {
      download(await api.sqlCsv(editor.value), 'waystream.csv');
    } catch (e) {
      fail(e);
    }
  }

  function show({ columns, rows, truncated }: SqlAnswer, ms: number): void {
    const notes = [texts.sql.rows(rows.length, ms)];
    if (rows.length > SHOWN_ROWS) notes.push(texts.sql.shownFirst(SHOWN_ROWS));
    if (truncated) notes.push(texts.sql.truncated);
    setText(status, notes.join(', '));
    if (rows.length === 0) {
      result.replaceChildren(h('p', { class: 'empty' }, texts.sql.nothing));
      return;
    }
    const numeric = columns.map((c) => isNumeric(c.type));
    result.replaceChildren(h('table', {},
      h('thead', {}, h('tr', {}, ...columns.map((c, i) => h('th', { scope: 'col', title: c.type, class: numeric[i] ? 'number' : '' }, c.name)))),
      h('tbody', {}, ...rows.slice(0, SHOWN_ROWS).map((row) => h('tr', {}, ...row.map((v, i) => h('td', { class: numeric[i] ? 'number' : '' }, cell(v))))))));
    result.scrollTop = 0;
  }

  const element = h('section', { class: 'panel-body sql-panel', aria: { label: texts.panels.sql } },
    h('div', { class: 'sql-side' }, editor,
      h('div', { class: 'button-row' }, runButton, csvButton, examples),
      h('p', { class: 'hint' }, texts.sql.hint), error),
    h('div', { class: 'sql-main' }, h('div', { class: 'sql-status' }, status), result));
  return { element, shown: () => editor.focus() };
}
