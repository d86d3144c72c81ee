/** Short messages over the map. */

import { texts } from '../texts';
import { h, iconButton } from './dom';

const SHOWN_MS = 6_000;
const AT_MOST = 3;

export interface ToastOptions { kind?: 'info' | 'error' | 'alert'; onclick?: () => void }

export function toasts(): { element: HTMLElement; show: (content: HTMLElement | string, options?: ToastOptions) => () => void } {
  const element = h('div', { class: 'toasts', role: 'log', aria: { live: 'polite' } });
  const show = (content: HTMLElement | string, { kind = 'info', onclick }: ToastOptions = {}): (() => void) => {
    while (element.childElementCount >= AT_MOST) element.firstElementChild?.remove();
    const remove = (): void => toast.remove();
    const body = onclick
      ? h('button', { type: 'button', class: 'toast-body', onclick: () => {
        onclick();
        remove();
      } }, content)
      : h('div', { class: 'toast-body' }, content);
    const toast = h('div', { class: `toast toast-${kind}` }, body, iconButton('close', texts.close, remove));
    element.append(toast);
    setTimeout(remove, SHOWN_MS);
    return remove;
  };
  return { element, show };
}
