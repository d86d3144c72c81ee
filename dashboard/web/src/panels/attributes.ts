/** What a vehicle reported last under each name, and how long ago: also of what its last report lacks, and as of a replay's moment. */

import { api } from '../api';
import type { App } from '../app';
import { age, attribute, utc } from '../format';
import { newest, newestSql, toldOf, type Newest, type Told } from '../sql/newest';
import { looksAround } from '../roles';
import { serverNow } from '../state';
import { texts } from '../texts';
import { h } from '../ui/dom';

const LOOK_BACK_MS = 24 * 3_600_000;
/** A report may come late by as much and is asked for still. */
const LATE_MS = 10 * 60_000;

export interface AttributeList {
  element: HTMLElement;
  /** Of the selected vehicle from now on. */
  show: () => Promise<void>;
  /** Asks for what is new. */
  refresh: () => Promise<void>;
  /** What is known otherwise. */
  add: (told: Told) => void;
}

export function attributeList({ store }: App): AttributeList {
  const element = h('dl', { class: 'facts attributes' });
  let known: Newest = new Map();
  /** Up to when `known` is; null: nothing was asked yet. */
  let upTo: number | null = null;
  let asking = false;

  const isPast = (): boolean => store.now.selected?.layer === 'replay';
  const now = (): number => (isPast() && store.now.replay ? Math.round(store.now.replay.at) : serverNow(store.now));

  function render(): void {
    const rows = [...known].map(([name, { value, at }]) => ({ name, at, ...attribute(name, value) })).sort((a, b) => a.label.localeCompare(b.label));
    element.replaceChildren(...(rows.length === 0 ? [h('dd', { class: 'muted' }, texts.details.noAttributes)]
      : rows.flatMap(({ name, at, label, text }) => [
        h('dt', { title: name }, label), h('dd', {}, text, ' ', h('span', { class: 'attribute-age', title: utc(at) }, age(now() - at))),
      ])));
  }

  async function refresh(): Promise<void> {
    const { selected } = store.now;
    const at = now();
    if (!selected || asking || !looksAround(store.now) || (isPast() && at === upTo)) return;
    // From a moment on more is known; before it there may be less.
    const onwards = upTo !== null && at >= upTo;
    const after = onwards && upTo !== null ? upTo - (isPast() ? 0 : LATE_MS) : at - LOOK_BACK_MS;
    asking = true;
    try {
      const { rows } = await api.sql(newestSql(selected.device, after, isPast() ? at : null));
      if (store.now.selected !== selected) return;
      known = newest(onwards || !isPast() ? known : new Map(), toldOf(rows));
      upTo = at;
      render();
    } finally {
      asking = false;
    }
  }

  return {
    element,
    refresh,
    show: () => {
      known = new Map();
      upTo = null;
      asking = false;
      element.replaceChildren();
      return refresh();
    },
    add: (told) => {
      known = newest(known, [told]);
      render();
    },
  };
}
