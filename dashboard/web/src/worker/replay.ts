/** One replay: vehicles of the past, with a clock of their own. It survives a lost connection. */

import type { ReplayAction, ReplayState } from '../wire/types';
import { ReplayClock } from './clock';
import { Fleet } from './fleet';
import { FLAG_LAST, KIND_REMOVED, KIND_SNAPSHOT, type FrameHeader, type Ft1Decoder } from './ft1';
import type { Link } from './link';
import type { FromWorker, ReplayOpen, SlotRow } from './protocol';
import { Roster } from './roster';
import { Trails } from './trails';

/** Unless somebody chose, trails go back a few seconds on the screen at any speed, and at least this far. */
const LEAST_TRAIL_MS = 300_000;
const TRAIL_SCREEN_MS = 10_000;

export class Replay {
  /** 0: none is open. */
  id = 0;
  readonly fleet = new Fleet();
  readonly roster = new Roster();
  readonly clock = new ReplayClock();
  readonly trails = new Trails();
  /** How far back trails go, as chosen; null: as the speed suggests. */
  trailMs: number | null = null;
  /** Device id of the selected vehicle, '' if none. */
  selected = '';
  /** How it was opened, to open it again after the connection was lost. */
  private opened: ReplayOpen | null = null;
  /** Time of the snapshot that is being received. */
  private snapshotAt = Number.NaN;
  /** Where the clock was stepped to; what comes from before was sent before the server knew. NaN: nowhere. */
  private steppedTo = Number.NaN;

  constructor(private link: () => Link | null, private post: (message: FromWorker) => void) {}

  /** How far back trails go, ms of the clock. */
  get trailSpan(): number {
    return this.trailMs ?? Math.max(LEAST_TRAIL_MS, this.clock.speed * TRAIL_SCREEN_MS);
  }

  act(id: number, action: ReplayAction, wall: number): void {
    if (action.action === 'open') {
      this.open(id, action, wall);
    } else if (id !== this.id) {
      return;
    } else if (action.action === 'close') {
      this.close();
    } else {
      this.control(action, wall);
    }
  }

  /** Takes over what the decoder has just read. */
  frame(columns: Ft1Decoder, frame: FrameHeader, wall: number): void {
    if (frame.kind === KIND_SNAPSHOT) {
      // A new moment: what was shown belongs to another time. All frames of one snapshot have its time.
      if (frame.t0 !== this.snapshotAt) this.clear();
      this.snapshotAt = frame.flags & FLAG_LAST ? Number.NaN : frame.t0;
    }
    this.clock.set(this.notBeforeStep(frame.t0), wall);
    if (frame.kind === KIND_REMOVED) {
      this.fleet.remove(columns, frame);
    } else {
      this.fleet.apply(columns, frame, frame.t0, wall);
      this.trails.note(this.fleet, columns.slot, frame.n, this.trailSpan);
    }
    this.link()?.ackReplay(this.id, frame.seq);
  }

  state(state: ReplayState, wall: number): void {
    this.clock.playing = state.playing && !state.done;
    this.clock.speed = state.speed;
    const at = this.notBeforeStep(state.at);
    this.clock.set(at, wall);
    this.post({ type: 'replay-state', state: { ...state, at } });
  }

  private notBeforeStep(at: number): number {
    if (at < this.steppedTo) return this.steppedTo;
    this.steppedTo = Number.NaN;
    return at;
  }

  /** The server's side ended with the socket: it goes on from where it was. */
  resume(wall: number): void {
    const { id, opened, clock } = this;
    if (!opened) return;
    const at = Math.round(clock.now(wall));
    const { playing, speed } = clock;
    this.request({ ...opened, speed }, (error) => {
      if (error !== null) {
        this.post({ type: 'replay-state', state: { id, at, playing: false, speed, done: true, error } });
        return;
      }
      this.control({ action: 'seek', at }, Date.now());
      if (playing) this.control({ action: 'play' }, Date.now());
    });
  }

  private open(id: number, open: ReplayOpen, wall: number): void {
    this.close();
    this.id = id;
    this.clock.playing = false;
    this.clock.speed = open.speed;
    this.clock.set(open.from, wall);
    this.request(open, (error, slots, from, to) => this.post({ type: 'replay-opened', id, error, slots, from, to }));
  }

  private request(open: ReplayOpen, done: (error: string | null, slots: SlotRow[], from: number, to: number) => void): void {
    const { id } = this;
    this.link()?.openReplay(id, open, (answer) => {
      if (id !== this.id) return;
      if (answer === null) {
        // One that was open is opened again with the connection.
        if (this.opened) return;
        this.id = 0;
        done('', [], open.from, open.to);
        return;
      }
      if (answer.ok) {
        this.roster.add(answer.slots);
        this.opened = open;
      } else {
        this.id = 0;
      }
      done(answer.ok ? null : (answer.error ?? ''), answer.slots, answer.from, answer.to);
    });
  }

  private control(action: Exclude<ReplayAction, { action: 'open' } | { action: 'close' }>, wall: number): void {
    this.link()?.replay({ id: this.id, ...action });
    this.steppedTo = Number.NaN;
    if (action.action === 'seek') {
      this.clear();
      this.clock.set(action.at, wall);
      return;
    }
    this.clock.set(this.clock.now(wall), wall);
    if (action.action === 'step') {
      // How far the next fix is away is told by the server.
      if (action.to === null) return;
      this.steppedTo = action.to;
      this.clock.set(action.to, wall);
      return;
    }
    if (action.action === 'speed') this.clock.speed = action.speed;
    else this.clock.playing = action.action === 'play';
  }

  private close(): void {
    if (this.id !== 0) this.link()?.replay({ id: this.id, action: 'close' });
    this.id = 0;
    this.opened = null;
    this.selected = '';
    this.roster.clear();
    this.clear();
  }

  private clear(): void {
    this.fleet.clear();
    this.trails.clear();
  }
}
