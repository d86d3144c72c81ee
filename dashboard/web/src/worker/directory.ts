/** The vehicle list: which vehicles pass the filter, in which order. */

import { LOOKS, type Fleet } from './fleet';
import { SPEED_UNKNOWN } from './ft1';
import { EVERYBODY, type SortKey } from './protocol';
import type { Roster } from './roster';

/** By Look: what deserves a dispatcher's eye comes first. */
const STATUS_ORDER = [1, 2, 4, 3, 5, 0];
/** Slots are below this, so that key and slot fit into one exact number. */
const SLOTS = 2 ** 22;

export class Directory {
  filter = EVERYBODY;
  /** Slots that pass, in order. */
  order: ArrayLike<number> & { slice(from: number, to: number): Iterable<number> } = [];
  /** Vehicles by Look that pass text and fleet, whatever the looks filter says. */
  looks: number[] = new Array<number>(LOOKS).fill(0);

  /** Whether the filter lets everybody through. */
  passesAll(): boolean {
    const { text, fleet, looks, devices } = this.filter;
    return text.trim() === '' && fleet === null && looks.length === 0 && devices === null;
  }

  /** Marks the fleet's shown column and orders the list. */
  refresh(fleet: Fleet, roster: Roster): void {
    const text = this.filter.text.trim().toLowerCase();
    const wanted = new Set(this.filter.looks);
    const devices = this.filter.devices && new Set(this.filter.devices);
    let passing = 0;
    this.looks.fill(0);
    for (let i = 0; i < fleet.n; i++) {
      let passes = false;
      if (fleet.present[i]
        && (this.filter.fleet === null || roster.fleet(i) === this.filter.fleet)
        && (devices === null || devices.has(roster.device(i)))
        && (text === '' || roster.text(i).includes(text))) {
        this.looks[fleet.look[i]]++;
        passes = wanted.size === 0 || wanted.has(fleet.look[i]);
      }
      fleet.shown[i] = passes ? 1 : 0;
      if (passes) passing++;
    }
    this.order = this.filter.sort === 'name'
      ? roster.byName().filter((i) => i < fleet.n && fleet.present[i] && fleet.shown[i])
      : sorted(fleet, passing, this.filter.sort);
  }
}

/** Sorts numbers rather than objects: 100,000 rows in a few milliseconds. */
function sorted(fleet: Fleet, passing: number, sort: Exclude<SortKey, 'name'>): Float64Array {
  let newest = 0;
  for (let i = 0; i < fleet.n; i++) if (fleet.present[i] && fleet.fix[i] > newest) newest = fleet.fix[i];
  const key = (i: number): number => {
    switch (sort) {
      case 'status':
        return STATUS_ORDER[fleet.look[i]];
      case 'speed':
        return fleet.speed[i] === SPEED_UNKNOWN ? SPEED_UNKNOWN : SPEED_UNKNOWN - 1 - fleet.speed[i];
      case 'age':
        // Tenths of a second, 3 years at most.
        return Math.min(2 ** 30, Math.round((newest - fleet.fix[i]) / 100));
    }
  };
  const keys = new Float64Array(passing);
  let at = 0;
  for (let i = 0; i < fleet.n; i++) if (fleet.present[i] && fleet.shown[i]) keys[at++] = key(i) * SLOTS + i;
  keys.sort();
  return keys.map((k) => k % SLOTS);
}
