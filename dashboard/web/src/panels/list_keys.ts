/** Keys in a list of which only the rows in sight exist: an element is another row after scrolling, so places count, not elements. */

export interface ListKeys {
  /** To a place in the list, which gets the focus. */
  go: (to: number) => void;
  /** The rows are others, or elsewhere: the place that has the focus keeps it. */
  filled: () => void;
}

export interface ListOf {
  rowPx: number;
  /** Elements of the rows that there are. */
  rows: () => HTMLElement[];
  /** Place of the first of them. */
  from: () => number;
  total: () => number;
}

/** Where a key leads from a place; null: it is none of these keys. */
export function placeAfter(key: string, at: number, page: number, total: number): number | null {
  const places = new Map([['ArrowDown', at + 1], ['ArrowUp', at - 1], ['PageDown', at + page], ['PageUp', at - page], ['Home', 0], ['End', total - 1]]);
  const to = places.get(key);
  return to === undefined ? null : Math.max(0, Math.min(total - 1, to));
}

export function listKeys(scroller: HTMLElement, { rowPx, rows, from, total }: ListOf): ListKeys {
  let at: number | null = null;
  /** The row that shall have the focus is not there yet. */
  let pending = false;
  const filled = (): void => {
    if (at === null || (!pending && !scroller.contains(document.activeElement))) return;
    const row = rows()[at - from()];
    if (!row || row.hidden) return;
    pending = false;
    if (row !== document.activeElement) row.focus({ preventScroll: true });
  };
  const go = (to: number): void => {
    if (total() === 0) return;
    at = to;
    pending = true;
    const top = to * rowPx;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + rowPx > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + rowPx - scroller.clientHeight;
    filled();
  };
  scroller.addEventListener('focusin', ({ target }) => {
    const row = rows().findIndex((element) => element === target);
    if (row >= 0) at = from() + row;
  });
  scroller.addEventListener('focusout', ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && scroller.contains(relatedTarget))) pending = false;
  });
  scroller.addEventListener('keydown', (event) => {
    if (at === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = placeAfter(event.key, at, Math.max(1, Math.floor(scroller.clientHeight / rowPx) - 1), total());
    if (to === null) return;
    event.preventDefault();
    go(to);
  });
  return { go, filled };
}
