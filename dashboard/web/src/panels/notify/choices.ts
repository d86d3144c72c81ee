/** Checkboxes for some of many. */

import { h } from '../../ui/dom';

export function choices(entries: readonly (readonly [string, string])[], chosen: readonly string[]): { element: HTMLElement; chosen: () => string[] } {
  const boxes = entries.map(([value, label]) => ({ value, label, box: h('input', { type: 'checkbox', checked: chosen.includes(value) }) }));
  return {
    element: h('div', { class: 'choices' }, ...boxes.map(({ label, box }) => h('label', { class: 'check' }, box, label))),
    chosen: () => boxes.filter(({ box }) => box.checked).map(({ value }) => value),
  };
}

export const group = (title: string, { element }: { element: HTMLElement }, open: boolean): HTMLElement =>
  h('details', { class: 'rules', open }, h('summary', {}, title), element);
