/** The list of vehicles where they are too many for a browser to hold: the server filters and sorts, we hold the rows in sight. */

import type { VehicleListAnswer, VehicleListRequest } from '../wire/types';
import type { Filter, VehicleRow } from './protocol';

/** Rows are asked for again so often. */
const EVERY_MS = 2_000;
/** A list of devices to choose from is long to send. */
const EVERY_MS_OF_DEVICES = 10_000;
/** Typing and scrolling ask for much that is over before it comes. */
const SETTLE_MS = 100;
/** Vehicles named in one answer of the server. */
const PAGE = 1_000;
/** Devices named to the server in one request. */
export const NAMED_AT_MOST = 10_000;
const NOTHING: VehicleListAnswer = { count: 0, matching: 0, looks: [0, 0, 0, 0, 0, 0], from: 0, vehicles: [] };

export type Ask = (request: VehicleListRequest) => Promise<VehicleListAnswer>;

/** Asks the gateway at `base`, the address of the page. */
export const askAt = (base: string): Ask => async (request) => {
  const response = await fetch(new URL('api/vehicles', base), {
    method: 'POST', credentials: 'same-origin', headers: { 'x-waystream': '1', 'content-type': 'application/json' }, body: JSON.stringify(request),
  });
  if (!response.ok) throw new Error(`vehicles: ${response.status}`);
  return (await response.json()) as VehicleListAnswer;
};

export function requestOf(filter: Filter, from: number, limit: number): VehicleListRequest {
  const { text, fleet, looks, sort, devices } = filter;
  return { text, fleet, looks, sort, devices: devices === null ? null : [...devices], from, limit };
}

export const rowsOf = ({ vehicles }: VehicleListAnswer): VehicleRow[] => vehicles.map((v) => ({
  slot: -1, device: v.device, name: v.name, fleet: v.fleet, look: v.look, speedKmh: v.speed_kmh, courseDeg: v.course_deg, fixTime: v.fix_time, lat: v.lat, lon: v.lon,
}));

/** Device ids of all vehicles that pass the filter, page by page; not many more than can be named to the server, which says so then. Lists are
 * made anew meanwhile: who moved down may come twice. */
export async function listedOf(ask: Ask, filter: Filter): Promise<string[]> {
  const devices = new Set<string>();
  for (let from = 0, matching = 1; from < Math.min(matching, NAMED_AT_MOST + 1); from += PAGE) {
    const answer = await ask(requestOf(filter, from, PAGE));
    matching = answer.matching;
    for (const { device } of answer.vehicles) devices.add(device);
  }
  return [...devices];
}

export class Listing {
  answer = NOTHING;
  private wanted = { from: 0, limit: 0 };
  private timer: ReturnType<typeof setTimeout> | null = null;
  private asking = false;
  private again = false;
  private on = false;

  constructor(private ask: () => Ask | null, private filter: () => Filter, private changed: () => void) {}

  /** Whether the list comes from the server. */
  set active(on: boolean) {
    if (on === this.on) return;
    this.on = on;
    this.answer = NOTHING;
    this.soon();
  }

  get active(): boolean {
    return this.on;
  }

  want(from: number, to: number): void {
    if (this.wanted.from === from && this.wanted.limit === to - from) return;
    this.wanted = { from, limit: to - from };
    this.soon();
  }

  /** The filter or what is in sight has changed. */
  soon(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = this.on ? setTimeout(() => void this.refresh(), SETTLE_MS) : null;
  }

  private async refresh(): Promise<void> {
    const ask = this.ask();
    if (!this.on || !ask) return;
    // One question at a time: a slow server is not asked more often than it answers.
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    this.again = false;
    const { from, limit } = this.wanted;
    try {
      const answer = await ask(requestOf(this.filter(), from, limit));
      if (this.on) {
        this.answer = answer;
        this.changed();
      }
    } catch {
      // What was listed stays; the connection's state is told elsewhere.
    }
    this.asking = false;
    if (!this.on) return;
    if (this.again) this.soon();
    else this.timer = setTimeout(() => void this.refresh(), this.filter().devices === null ? EVERY_MS : EVERY_MS_OF_DEVICES);
  }
}
