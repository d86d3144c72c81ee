/** A dialog of a few pages, each fetched when it is shown. */

import { texts } from '../texts';
import { h } from './dom';

/** One page. Shown again it fetches again: others may have edited meanwhile. */
export interface Tab {
  element: HTMLElement;
  shown: () => void;
}

/** The first page is shown first. */
export function showTabs<Name extends string>(title: string, labels: Record<Name, string>, tabs: Partial<Record<Name, Tab>>): void {
  const pages = Object.entries(tabs) as [Name, Tab][];
  const show = (chosen: Tab): void => {
    pages.forEach(([, tab], n) => {
      tab.element.hidden = tab !== chosen;
      buttons[n].setAttribute('aria-pressed', String(tab === chosen));
    });
    chosen.shown();
  };
  const buttons = pages.map(([name, tab]) => h('button', { type: 'button', class: 'button small', data: { tab: name }, onclick: () => show(tab) }, labels[name]));
  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog tabs-dialog', aria: { label: title }, onclose: () => dialog.remove() },
    h('h2', {}, title), h('div', { class: 'button-row' }, ...buttons), ...pages.map(([, tab]) => tab.element),
    h('form', { method: 'dialog', class: 'button-row' }, h('button', { type: 'submit', class: 'button' }, texts.close)));
  document.body.append(dialog);
  dialog.showModal();
  show(pages[0][1]);
}
