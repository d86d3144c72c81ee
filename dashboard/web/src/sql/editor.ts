/** The query editor: highlighting, completion from the server's schema, faults where they are. Loaded when the panel is first opened. */

import { autocompletion, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { PostgreSQL, sql } from '@codemirror/lang-sql';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { setDiagnostics } from '@codemirror/lint';
import { Compartment, Prec } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { minimalSetup } from 'codemirror';
import { texts } from '../texts';
import type { Span } from './fault';
import { signatureOf, type SqlSchema } from './schema';

export interface Editor {
  element: HTMLElement;
  value: string;
  focus: () => void;
  complete: (schema: SqlSchema) => void;
  /** Null: nothing is wrong. */
  mark: (fault: { span: Span; message: string } | null) => void;
}

const highlight = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--code-keyword)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--code-number)' },
  { tag: [tags.lineComment, tags.blockComment], color: 'var(--muted)', fontStyle: 'italic' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: 'var(--code-name)' },
]);

/** Functions are no part of the language package's schema. */
function functionsOf(schema: SqlSchema): (context: CompletionContext) => CompletionResult | null {
  const entries: Completion[] = schema.functions.map((f) => ({
    label: f.name, type: 'function', detail: signatureOf(f), apply: `${f.name}(`, ...(f.about === '' ? {} : { info: f.about }),
  }));
  return (context) => {
    const word = context.matchBefore(/\w+/);
    if (!word && !context.explicit) return null;
    // After `table.` only its columns.
    if (word && context.state.sliceDoc(word.from - 1, word.from) === '.') return null;
    return { from: word?.from ?? context.pos, options: entries, validFor: /^\w*$/ };
  };
}

export function createEditor(start: string, run: () => void): Editor {
  const language = new Compartment();
  const view = new EditorView({
    doc: start,
    extensions: [
      Prec.highest(keymap.of([{
        key: 'Mod-Enter', run: () => {
          run();
          return true;
        },
      }])),
      minimalSetup,
      autocompletion({ icons: false }),
      syntaxHighlighting(highlight),
      language.of(sql({ dialect: PostgreSQL })),
      EditorView.lineWrapping,
      EditorView.editorAttributes.of({ class: 'sql-editor' }),
      EditorView.contentAttributes.of({ 'aria-label': texts.sql.editor, spellcheck: 'false' }),
    ],
  });
  return {
    element: view.dom,
    get value() {
      return view.state.doc.toString();
    },
    set value(text) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    focus: () => view.focus(),
    complete: (schema) => {
      const support = sql({ dialect: PostgreSQL, schema: schema.tables, upperCaseKeywords: true });
      view.dispatch({ effects: language.reconfigure([support, PostgreSQL.language.data.of({ autocomplete: functionsOf(schema) })]) });
    },
    mark: (fault) => {
      const length = view.state.doc.length;
      view.dispatch(setDiagnostics(view.state, fault && fault.span.from <= length
        ? [{ from: fault.span.from, to: Math.min(fault.span.to, length), severity: 'error', message: fault.message }] : []));
    },
  };
}
