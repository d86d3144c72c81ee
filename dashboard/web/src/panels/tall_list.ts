/**
 * A list of which only the rows near what is in sight exist. Rows are known by their keys: one that stays is the same element whatever becomes of the
 * others, so it keeps the focus, and the list stays where it was scrolled to.
 */

import { h } from '../ui/dom';
import { placeAfter } from './list_keys';

export interface Entry {
  key: string;
  /** How tall its row is; the stylesheet has to say the same. */
  px: number;
}

export interface TallRow<E extends Entry> {
  element: HTMLLIElement;
  /** Shows what the entry is now. */
  fill: (entry: E) => void;
}

export interface TallList<E extends Entry> {
  element: HTMLElement;
  show: (entries: readonly E[]) => void;
  /** What rows show has changed, though the entries have not. */
  refill: () => void;
  /** Brings an entry into the middle, and gives it the focus. */
  reveal: (key: string) => void;
}

/** Beyond what is in sight, so that scrolling shows no blanks, Tab finds the next row, and of some dozens all are there to be found in the page. */
const SPARE_PX = 2_400;

/** Where each entry begins; and at the end, where the last one ends. */
export function offsetsOf(entries: readonly Entry[]): number[] {
  const offsets = [0];
  for (const { px } of entries) offsets.push(offsets[offsets.length - 1] + px);
  return offsets;
}

/** The entries that lie between two heights, or touch them: the first, and the one behind the last. */
export function between(offsets: readonly number[], top: number, bottom: number): [from: number, to: number] {
  const count = offsets.length - 1;
  /** How many end, or begin, before a height. */
  const before = (height: number, end: 0 | 1): number => {
    let [low, high] = [0, count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsets[middle + end] < height) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const from = before(top, 1);
  return [from, Math.max(from, before(bottom, 0))];
}

/** Who has the focus when an entry is gone: the next one that is left, or else the one before it. */
export function heirOf(key: string, keys: readonly string[], isLeft: (key: string) => boolean): string | null {
  const at = keys.indexOf(key);
  return keys.slice(at + 1).find(isLeft) ?? keys.slice(0, Math.max(0, at)).findLast(isLeft) ?? null;
}

export function tallList<E extends Entry>(label: string, make: (entry: E) => TallRow<E>): TallList<E> {
  const list = h('ul', { class: 'plain-list tall-list', aria: { label } });
  const scroller = h('div', { class: 'scroller', onscroll: () => place() }, list);
  let entries: readonly E[] = [];
  let offsets = offsetsOf(entries);
  let places = new Map<string, number>();
  const rows = new Map<string, TallRow<E>>();

  /** Key of the row that has the focus. */
  const focused = (): string | null => {
    for (const [key, { element }] of rows) if (element.contains(document.activeElement)) return key;
    return null;
  };
  const focus = (key: string): void => rows.get(key)?.element.querySelector('button')?.focus({ preventScroll: true });

  /** Makes the rows that are wanted, in their order, and lets go of all others. */
  function place(): void {
    const { scrollTop, clientHeight } = scroller;
    const [from, to] = between(offsets, scrollTop - SPARE_PX, scrollTop + clientHeight + SPARE_PX);
    const wanted = Array.from({ length: to - from }, (_, n) => from + n);
    // Who has the focus stays, wherever it is.
    const held = places.get(focused() ?? '');
    if (held !== undefined && held < from) wanted.unshift(held);
    if (held !== undefined && held >= to) wanted.push(held);
    const keys = new Set(wanted.map((at) => entries[at].key));
    for (const [key, { element }] of rows) {
      if (keys.has(key)) continue;
      element.remove();
      rows.delete(key);
    }
    const active = document.activeElement;
    let next = list.firstElementChild;
    for (const at of wanted) {
      const entry = entries[at];
      const row = rows.get(entry.key) ?? made(entry);
      row.element.style.transform = `translateY(${offsets[at]}px)`;
      row.element.setAttribute('aria-posinset', String(at + 1));
      row.element.setAttribute('aria-setsize', String(entries.length));
      if (row.element === next) next = next.nextElementSibling;
      else list.insertBefore(row.element, next);
    }
    // What has been moved has lost it.
    if (active instanceof HTMLElement && active !== document.activeElement && list.contains(active)) active.focus({ preventScroll: true });
  }

  function made(entry: E): TallRow<E> {
    const row = make(entry);
    row.fill(entry);
    rows.set(entry.key, row);
    return row;
  }

  function refill(): void {
    for (const [key, row] of rows) {
      const at = places.get(key);
      if (at !== undefined) row.fill(entries[at]);
    }
  }

  function show(now: readonly E[]): void {
    const [before, held] = [entries, focused()];
    entries = now;
    offsets = offsetsOf(now);
    places = new Map(now.map(({ key }, at) => [key, at]));
    list.style.height = `${offsets[now.length]}px`;
    refill();
    place();
    if (held === null || places.has(held)) return;
    const heir = heirOf(held, before.map(({ key }) => key), (key) => places.has(key));
    if (heir !== null) focus(heir);
  }

  /** To an entry, which gets the focus. */
  function go(to: number): void {
    const [top, bottom] = [offsets[to], offsets[to + 1]];
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight;
    place();
    focus(entries[to].key);
  }

  scroller.addEventListener('keydown', (event) => {
    const at = places.get(focused() ?? '');
    if (at === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(scroller.clientHeight / entries[at].px) - 1);
    const to = placeAfter(event.key, at, page, entries.length);
    if (to === null) return;
    event.preventDefault();
    go(to);
  });
  new ResizeObserver(place).observe(scroller);

  return {
    element: scroller,
    show,
    refill,
    reveal: (key) => {
      const at = places.get(key);
      if (at === undefined) return;
      scroller.scrollTop = (offsets[at] + offsets[at + 1] - scroller.clientHeight) / 2;
      place();
      focus(key);
    },
  };
}
