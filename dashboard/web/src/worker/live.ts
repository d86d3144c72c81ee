/** The vehicles as they are now, fed by the frames of the watched fleets. */

import type { SlotsMessage } from '../wire/types';
import { ServerClock } from './clock';
import { CountedCells } from './counted';
import { Directory } from './directory';
import { Fleet } from './fleet';
import { FLAG_FOLLOWED, FLAG_LAST, KIND_CELLS, KIND_REMOVED, KIND_SNAPSHOT, type FrameHeader, type Ft1Decoder } from './ft1';
import { Roster } from './roster';

/** Latencies kept for the percentile of one second. */
const LAGS_KEPT = 1000;

/** Ages of positions kept for the percentile of one second. */
const AGES_KEPT = 4000;

export class Live {
  readonly fleet = new Fleet();
  readonly roster = new Roster();
  readonly directory = new Directory();
  readonly cells = new CountedCells();
  /** Whether the server tells of all vehicles, or only of what the map shows. */
  whole = true;
  readonly clock = new ServerClock();
  /** Device id of the selected vehicle, '' if none. */
  selected = '';
  frames = 0;
  /** When the newest frame came, ms of our clock; 0 before the first. */
  newestFrame = 0;
  /** See Stats. */
  lagP95: number | null = null;
  /** See Stats. */
  ageP99: number | null = null;

  private epoch = -1;
  /** Something changed since the list was put in order. */
  private dirty = true;
  /** Told of since watching began: what has not been is over when the snapshot is complete. */
  private heard = { cells: false, followed: false };
  private lags: number[] = [];
  private ages: number[] = [];

  /** Fleets are about to be watched: a snapshot will come, and tells also who is gone. */
  joining(): void {
    this.fleet.expectSnapshot();
    this.heard = { cells: false, followed: false };
  }

  /** Another start of the gateway: slots mean other vehicles from now on. */
  enter(epoch: number): void {
    if (epoch === this.epoch) return;
    this.fleet.clear();
    this.roster.clear();
    this.cells.clear();
    this.epoch = epoch;
    this.dirty = true;
  }

  slots({ epoch, slots }: SlotsMessage): void {
    this.enter(epoch);
    this.roster.add(slots);
    this.dirty = true;
  }

  rename(device: string, name: string, fleet: string): void {
    this.roster.rename(device, name, fleet);
    this.dirty = true;
  }

  /** Takes over what the decoder has just read. */
  frame(columns: Ft1Decoder, frame: FrameHeader, wall: number): void {
    this.enter(frame.epoch);
    this.frames++;
    this.newestFrame = wall;
    if (frame.kind === KIND_CELLS) {
      this.heard.cells = true;
      this.cells.take(columns, frame);
      return;
    }
    this.dirty = true;
    if (frame.kind === KIND_REMOVED) {
      this.fleet.remove(columns, frame);
      if (!this.whole) this.forget(columns, frame.n);
      return;
    }
    if (frame.flags & FLAG_FOLLOWED) this.heard.followed = true;
    this.clock.sample(frame.t0, wall);
    const now = this.clock.now(wall);
    this.fleet.apply(columns, frame, now, wall);
    if (frame.kind !== KIND_SNAPSHOT) {
      if (this.lags.length < LAGS_KEPT) this.lags.push(now - frame.t0);
      const kept = Math.min(frame.n, AGES_KEPT - this.ages.length);
      for (let i = 0; i < kept; i++) this.ages.push(wall - (frame.t0 - columns.dt[i] * 10));
    } else if (frame.flags & FLAG_LAST && (frame.flags & FLAG_FOLLOWED) === 0) {
      this.fleet.endSnapshot();
      if (!this.heard.followed) this.fleet.endFollowing();
      if (!this.heard.cells) this.cells.clear();
    }
  }

  /** Names of vehicles out of sight: whoever comes back is told of anew. */
  private forget(columns: Ft1Decoder, n: number): void {
    for (let k = 0; k < n; k++) {
      const slot = columns.slot[k];
      if (slot >= this.fleet.n || !this.fleet.present[slot]) this.roster.remove(slot);
    }
  }

  /** Once a second: the list's order, the counts, the latency. */
  tidy(): void {
    if (this.dirty) this.refresh();
    this.lagP95 = quantile(this.lags, 0.95);
    this.ageP99 = quantile(this.ages, 0.99);
    this.lags = [];
    this.ages = [];
  }

  refresh(): void {
    // A viewport brings many at once: those that don't pass must not flash up.
    this.fleet.newcomers = this.whole || this.directory.passesAll() ? 1 : 0;
    this.directory.refresh(this.fleet, this.roster);
    this.dirty = false;
  }

  /** Where the vehicles are, as a Mercator box [x0, y0, x1, y1]. Strays don't count: 2nd to 98th percentile. */
  extent(): [number, number, number, number] | null {
    if (this.cells.viewport) return this.cells.extent();
    const xs: number[] = [], ys: number[] = [];
    for (let i = 0; i < this.fleet.n; i++) {
      const x = this.fleet.x[i], y = this.fleet.y[i];
      // Trackers without a fix report 0, 0.
      if (!this.fleet.present[i] || (x === 0.5 && y === 0.5)) continue;
      xs.push(x);
      ys.push(y);
    }
    if (xs.length === 0) return null;
    xs.sort((a, b) => a - b);
    ys.sort((a, b) => a - b);
    const at = (values: number[], share: number): number => values[Math.round((values.length - 1) * share)];
    return [at(xs, 0.02), at(ys, 0.02), at(xs, 0.98), at(ys, 0.98)];
  }
}

/** Puts the values in order; null if there is none. */
function quantile(values: number[], share: number): number | null {
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length * share)] ?? null;
}
