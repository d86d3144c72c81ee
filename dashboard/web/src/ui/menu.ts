/** A menu behind a button, by keys as everywhere: arrows, Home and End go through it, Escape and Tab close it. */

import { h } from './dom';

export function menuBehind(button: HTMLButtonElement, menu: HTMLElement): HTMLElement {
  const items = (): HTMLElement[] => [...menu.querySelectorAll<HTMLElement>('[role=menuitem]')];
  const open = (on: boolean): void => {
    menu.hidden = !on;
    button.setAttribute('aria-expanded', String(on));
  };
  /** Beyond the last comes the first. */
  const focus = (at: number): void => items().at(at % items().length)?.focus();
  button.setAttribute('aria-haspopup', 'menu');
  open(false);
  button.onclick = () => {
    open(Boolean(menu.hidden));
    if (!menu.hidden) focus(0);
  };
  // Before the item does what it is for: a dialog gives the focus back to who had it.
  menu.addEventListener('click', (event) => {
    if (!(event.target instanceof Element && event.target.closest('[role=menuitem]'))) return;
    open(false);
    button.focus();
  }, true);
  const box = h('div', { class: 'account' }, button, menu);
  document.addEventListener('click', (event) => {
    if (!(event.target instanceof Node && box.contains(event.target))) open(false);
  });
  box.addEventListener('keydown', (event) => {
    const { key } = event;
    const at = items().findIndex((item) => item === document.activeElement);
    if (key === 'Tab') return open(false);
    if (key === 'Escape' && !menu.hidden) {
      open(false);
      button.focus();
    } else if (key === 'ArrowDown' || key === 'ArrowUp') {
      open(true);
      if (at < 0) focus(key === 'ArrowDown' ? 0 : -1);
      else focus(key === 'ArrowDown' ? at + 1 : at - 1);
    } else if (!menu.hidden && (key === 'Home' || key === 'End')) focus(key === 'Home' ? 0 : -1);
    else return;
    event.preventDefault();
  });
  return box;
}
