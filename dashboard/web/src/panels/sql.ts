/** SQL on the history: a query, and its answer as a table, a chart, dots on the map, or a CSV of all of it. */

import { api, messageOf } from '../api';
import type { App } from '../app';
import type { Panel } from '../app';
import { showRows, type ShownRows } from '../map/rows';
import { cell, chartOf, numericColumns, placesOf } from '../sql/answer';
import type { Editor } from '../sql/editor';
import { faultSpan } from '../sql/fault';
import { loadSchema } from '../sql/schema';
import type { SqlView } from '../state';
import { texts } from '../texts';
import { download, h, options, setText } from '../ui/dom';
import type { SqlAnswer } from '../wire/types';
import { savedQueries } from './saved_queries';

/** A table of more rows than this is no use to look at; the CSV has them all. */
const SHOWN_ROWS = 1000;

const VIEWS: readonly SqlView[] = ['table', 'chart', 'map'];

/** Until the editor has come, and if it can't: queries can be written and run without it. */
function plainEditor(start: string, run: () => void): Editor {
  const element = h('textarea', {
    class: 'sql-editor', rows: 6, spellcheck: false, value: start, aria: { label: texts.sql.editor }, onkeydown: (event: KeyboardEvent) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      run();
    },
  });
  return {
    element, complete: () => undefined, focus: () => element.focus(),
    get value() {
      return element.value;
    },
    set value(text) {
      element.value = text;
    },
    mark: (fault) => {
      if (fault) element.setSelectionRange(fault.span.from, fault.span.to);
    },
  };
}

export interface SqlPanel extends Panel {
  /** Asks this, and shows the answer so, if it can be. */
  ask: (query: string, wanted: SqlView) => void;
}

export function sqlPanel(app: App): SqlPanel {
  const { map } = app.view;
  const start = (): void => {
    run().catch(app.report);
  };
  let editor = plainEditor(app.store.now.query ?? texts.sql.exampleList[0][1], start);
  const examples = h('select', {
    aria: { label: texts.sql.examples }, onchange: () => {
      const chosen = texts.sql.exampleList[Number(examples.value)];
      if (examples.value !== '' && chosen) editor.value = chosen[1];
      examples.value = '';
    },
  });
  options(examples, [['', texts.sql.examples], ...texts.sql.exampleList.map(([name], i) => [String(i), name] as const)], '');
  const saved = savedQueries(app, {
    get value() {
      return editor.value;
    },
    set value(text) {
      editor.value = text;
    },
  });
  const runButton = h('button', { type: 'button', class: 'button primary', onclick: start }, texts.sql.run);
  const csvButton = h('button', { type: 'button', class: 'button', onclick: () => csv().catch(app.report) }, texts.sql.csv);
  const status = h('span', { class: 'muted grow', role: 'status' });
  const error = h('pre', { class: 'error sql-error', role: 'alert', hidden: true });
  const result = h('div', { class: 'sql-result', tabIndex: 0, role: 'group', aria: { label: texts.sql.result } });
  const views = VIEWS.map((name) => h('button', {
    type: 'button', class: 'button small', disabled: true, data: { view: name }, onclick: () => show(name).catch(app.report),
  }, texts.sql.views[name]));

  /** Answers to queries that were replaced meanwhile are dropped. */
  let asked = 0;
  let answer: SqlAnswer | null = null;
  let view = app.store.now.sqlView;
  let dots: ShownRows | null = null;
  let removeChart = (): void => undefined;

  let coming: Promise<void> | null = null;
  async function loadEditor(): Promise<void> {
    const { createEditor } = await import('../sql/editor');
    const { element: plain } = editor;
    const focused = document.activeElement === plain;
    editor = createEditor(editor.value, start);
    plain.replaceWith(editor.element);
    if (focused) editor.focus();
    editor.complete(await loadSchema());
  }

  function fail(query: string, e: unknown): void {
    const message = messageOf(e);
    error.hidden = false;
    setText(error, message);
    setText(status, '');
    const span = faultSpan(query, message);
    editor.mark(span && { span, message });
  }

  async function run(): Promise<void> {
    const mine = ++asked;
    const query = editor.value;
    error.hidden = true;
    editor.mark(null);
    runButton.disabled = true;
    setText(status, texts.sql.running);
    const began = performance.now();
    try {
      const fresh = await api.sql(query);
      if (mine !== asked) return;
      answer = fresh;
      app.store.set({ query });
      tell(fresh, Math.round(performance.now() - began));
      if (fresh.error !== undefined) fail(query, new Error(fresh.error));
      const can: Record<SqlView, boolean> = { table: true, chart: chartOf(fresh) !== null, map: placesOf(fresh) !== null && fresh.rows.length > 0 };
      views.forEach((button, i) => {
        button.disabled = !can[VIEWS[i]];
      });
      await show(can[view] ? view : 'table');
    } catch (e) {
      if (mine === asked) fail(query, e);
    } finally {
      runButton.disabled = false;
    }
  }

  async function csv(): Promise<void> {
    const query = editor.value;
    error.hidden = true;
    try {
      download(await api.sqlCsv(query), 'waystream.csv');
    } catch (e) {
      fail(query, e);
    }
  }

  function tell({ rows, truncated }: SqlAnswer, ms: number): void {
    const notes = [texts.sql.rows(rows.length, ms)];
    if (rows.length > SHOWN_ROWS) notes.push(texts.sql.shownFirst(SHOWN_ROWS));
    if (truncated) notes.push(texts.sql.truncated);
    setText(status, notes.join(', '));
  }

  async function show(wanted: SqlView): Promise<void> {
    if (!answer) return;
    const shown = answer;
    view = wanted;
    app.store.set({ sqlView: wanted });
    views.forEach((button, i) => button.setAttribute('aria-pressed', String(VIEWS[i] === wanted)));
    removeChart();
    removeChart = () => undefined;
    dots?.remove();
    // A vehicle that is followed would lead away from them at once.
    if (wanted === 'map') app.store.set({ follow: false });
    dots = wanted === 'map' ? showRows(map, shown) : null;
    result.classList.toggle('is-chart', wanted === 'chart');
    result.scrollTop = 0;
    if (wanted === 'chart') {
      const data = chartOf(shown);
      const { plot } = await import('../sql/plot');
      if (answer !== shown || view !== 'chart' || !data) return;
      removeChart();
      result.replaceChildren();
      removeChart = plot(result, data).remove;
      return;
    }
    result.replaceChildren(
      ...(dots ? [h('p', { class: 'hint sql-note' }, texts.sql.onMap(dots.shown, dots.left))] : []),
      shown.rows.length === 0 ? h('p', { class: 'empty' }, texts.sql.nothing) : table(shown));
  }

  app.store.on(['options'], () => {
    // A canvas keeps the colours that it was drawn with.
    if (view === 'chart') show('chart').catch(app.report);
  });

  const side = h('div', { class: 'sql-side' }, editor.element,
    h('div', { class: 'button-row' }, runButton, csvButton, examples), saved.element,
    h('p', { class: 'hint' }, texts.sql.hint), error);
  const element = h('section', { class: 'panel-body sql-panel', aria: { label: texts.panels.sql } }, side,
    h('div', { class: 'sql-main' }, h('div', { class: 'sql-status' }, status, h('div', { class: 'button-row', role: 'group', aria: { label: texts.sql.result } }, ...views)), result));
  return {
    element,
    ask: (query, wanted) => {
      editor.value = query;
      view = wanted;
      start();
    },
    shown: () => {
      // A load that failed is tried again the next time.
      coming ??= loadEditor().catch((e: unknown) => {
        coming = null;
        app.report(e);
      });
      editor.focus();
      saved.shown();
    },
  };
}

function table({ columns, rows }: SqlAnswer): HTMLElement {
  const numeric = numericColumns(columns);
  return h('table', {},
    h('thead', {}, h('tr', {}, ...columns.map((c, i) => h('th', { scope: 'col', title: c.type, class: numeric[i] ? 'number' : '' }, c.name)))),
    h('tbody', {}, ...rows.slice(0, SHOWN_ROWS).map((row) => h('tr', {}, ...row.map((v, i) => h('td', { class: numeric[i] ? 'number' : '' }, cell(v)))))));
}
