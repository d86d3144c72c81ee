/** The map worker: owns the socket and all positions, answers the page, draws on request. */

import type { AlertEvent, ReplayAction } from '../wire/types';
import { ReplayClock, ServerClock } from './clock';
import { Directory } from './directory';
import { Fleet } from './fleet';
import { FLAG_LAST, FrameFault, Ft1Decoder, KIND_REMOVED, KIND_SNAPSHOT, type FrameHeader } from './ft1';
import { Link } from './link';
import { latOf, lonOf } from './mercator';
import { Painter, type Scene } from './painter';
import type {
  DrawOptions, FromWorker, LayerName, LinkState, ReplayOpen, Selected, SlotRow, ToWorker, VehicleRow, View,
} from './protocol';
import { Roster } from './roster';
import { Trails } from './trails';

/** `self` of a dedicated worker, which the DOM's types don't know. */
const scope = globalThis as unknown as {
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
};
const post = (message: FromWorker): void => scope.postMessage(message);

const decoder = new Ft1Decoder();
const painter = new Painter();
const serverClock = new ServerClock();

const live = { fleet: new Fleet(), roster: new Roster(), directory: new Directory(), selected: '' };
const replay = {
  id: 0, fleet: new Fleet(), roster: new Roster(), clock: new ReplayClock(), trails: new Trails(), selected: '',
  /** How it was opened, to open it again after the connection was lost. */
  opened: null as ReplayOpen | null,
  /** Time of the snapshot that is being received. */
  snapshotAt: Number.NaN,
};
let options: DrawOptions = { theme: 'light', grouping: 'auto', labels: true, live: true };
let link: Link | null = null;
let linkState: LinkState = 'connecting';
let epoch = -1;
let lastSeq = -1;
let extentSent = false;
let rowsWanted = { from: 0, to: 0 };
let inView = 0;
let dirty = true;
/** The page has a picture that holds. */
let still = false;

/** Something changed that the picture shows. */
function wake(): void {
  if (still) post({ type: 'wake' });
  still = false;
}

const counters = { frames: 0, badFrames: 0, missedFrames: 0, newestFrame: 0, drawMs: 0 };
/** More vehicles on one spot than a list to choose from should hold. */
const HITS_AT_MOST = 16;
/** Frame time base to taken over, since the last statistics. */
let lags: number[] = [];

function setLink(state: LinkState): void {
  linkState = state;
  sendStats();
}

/** A broken frame is counted and left out; what is on the map stays. */
function decode(bytes: Uint8Array): FrameHeader | null {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    if (!(error instanceof FrameFault)) throw error;
    counters.badFrames++;
    return null;
  }
}

function liveFrame(bytes: Uint8Array): void {
  const frame = decode(bytes);
  if (!frame) return;
  const wall = Date.now();
  if (frame.epoch !== epoch) {
    live.fleet.clear();
    epoch = frame.epoch;
    lastSeq = -1;
  }
  if (lastSeq >= 0 && frame.seq > lastSeq + 1) counters.missedFrames += frame.seq - lastSeq - 1;
  lastSeq = frame.seq;
  counters.frames++;
  if (frame.kind === KIND_REMOVED) {
    live.fleet.remove(decoder, frame);
  } else {
    serverClock.sample(frame.t0, wall);
    live.fleet.apply(decoder, frame, serverClock.now(wall), wall);
    if (frame.kind === KIND_SNAPSHOT && frame.flags & FLAG_LAST) live.fleet.endSnapshot();
    if (frame.kind !== KIND_SNAPSHOT && lags.length < 1000) lags.push(serverClock.now(wall) - frame.t0);
    counters.newestFrame = wall;
  }
  link?.ack(frame.seq);
  dirty = true;
  wake();
}

function replayFrame(id: number, bytes: Uint8Array): void {
  const frame = decode(bytes);
  if (!frame || id !== replay.id) return;
  const wall = Date.now();
  if (frame.kind === KIND_SNAPSHOT) {
    // A new moment: what was shown belongs to another time. All frames of one snapshot have its time.
    if (frame.t0 !== replay.snapshotAt) {
      replay.fleet.clear();
      replay.trails.clear();
    }
    replay.snapshotAt = frame.flags & FLAG_LAST ? Number.NaN : frame.t0;
  }
  replay.clock.set(frame.t0, wall);
  if (frame.kind === KIND_REMOVED) {
    replay.fleet.remove(decoder, frame);
  } else {
    replay.fleet.apply(decoder, frame, frame.t0, wall);
    replay.trails.note(replay.fleet, decoder.slot, frame.n);
  }
  link?.ackReplay(id, frame.seq);
  wake();
}

function connect(origin: string, alertsAfter: string | null): void {
  link = new Link(origin, alertsAfter, {
    state: setLink,
    watching: (reply) => {
      if (reply.epoch !== epoch) {
        live.fleet.clear();
        epoch = reply.epoch;
      }
      live.fleet.expectSnapshot();
      lastSeq = -1;
      resumeReplay();
    },
    frame: liveFrame,
    slots: (slots) => {
      if (slots.epoch !== epoch) {
        // Another start of the gateway: slots mean other vehicles now.
        live.fleet.clear();
        live.roster.clear();
        epoch = slots.epoch;
      }
      live.roster.add(slots.slots);
      dirty = true;
      wake();
    },
    alert: (alert: AlertEvent) => post({ type: 'alert', alert }),
    catalog: (change) => post({ type: 'catalog', change }),
    replayFrame,
    replayState: (state) => {
      if (state.id !== replay.id) return;
      replay.clock.playing = state.playing && !state.done;
      replay.clock.speed = state.speed;
      replay.clock.set(state.at, Date.now());
      post({ type: 'replay-state', state });
    },
    replayAlert: (id, alert) => post({ type: 'replay-alert', id, alert }),
  });
}

function rowOf(layer: LayerName, slot: number): VehicleRow {
  const { fleet, roster } = layer === 'live' ? live : replay;
  return {
    slot,
    device: roster.device(slot),
    name: roster.name(slot),
    fleet: roster.fleet(slot),
    look: fleet.look[slot],
    speedKmh: fleet.speed[slot] === 0xffff ? null : fleet.speed[slot] / 10,
    courseDeg: (fleet.course[slot] * 360) / 256,
    fixTime: fleet.fix[slot],
    lat: latOf(fleet.y[slot]),
    lon: lonOf(fleet.x[slot]),
  };
}

function selection(wall: number): Selected | null {
  const layer: LayerName = replay.id !== 0 && replay.selected !== '' ? 'replay' : 'live';
  const side = layer === 'live' ? live : replay;
  const slot = side.roster.slot(side.selected);
  if (slot < 0 || slot >= side.fleet.n || !side.fleet.present[slot]) return null;
  const clock = layer === 'live' ? serverClock.now(wall) : replay.clock.now(wall);
  return { layer, row: rowOf(layer, slot), x: side.fleet.reckonX(slot, clock, wall), y: side.fleet.reckonY(slot, clock, wall) };
}

function draw(view: View, buffer: ArrayBuffer | null): void {
  const began = performance.now();
  const wall = Date.now();
  const bytes = view.w * view.h * 4;
  const pixels = buffer && buffer.byteLength === bytes ? buffer : new ArrayBuffer(bytes);
  const scenes: Scene[] = [];
  if (options.live) {
    scenes.push({
      fleet: live.fleet, clock: serverClock.now(wall), nameOf: (slot) => live.roster.name(slot),
      selected: live.roster.slot(live.selected), trails: null, trailSpan: 0,
    });
  }
  if (replay.id !== 0) {
    scenes.push({
      fleet: replay.fleet, clock: replay.clock.now(wall), nameOf: (slot) => replay.roster.name(slot),
      selected: replay.roster.slot(replay.selected), trails: replay.trails,
      // A few seconds of trail on the screen at any speed, at least five minutes.
      trailSpan: Math.max(300_000, replay.clock.speed * 10_000),
    });
  }
  inView = painter.paint(new Uint32Array(pixels), view, scenes, options, wall);
  counters.drawMs += (performance.now() - began - counters.drawMs) * 0.1;
  still = !scenes.some((scene) => scene.fleet.active);
  scope.postMessage({ type: 'frame', buffer: pixels, view, shown: inView, selected: selection(wall), still }, [pixels]);
}

function hit(id: number, x: number, y: number, radius: number): void {
  const hits = new Map<string, { layer: LayerName; row: VehicleRow }>();
  for (const picked of painter.near(x, y, radius, HITS_AT_MOST)) {
    if (!picked) continue;
    const layer: LayerName = options.live && picked.scene === 0 ? 'live' : 'replay';
    hits.set(`${layer}${picked.slot}`, { layer, row: rowOf(layer, picked.slot) });
  }
  // The mark of a counted cell is wider than a vehicle.
  const cell = hits.size === 0 && painter.near(x, y, 2 * radius, HITS_AT_MOST).includes(null);
  post({ type: 'hit', id, hits: [...hits.values()], cell });
}

function sendRows(): void {
  const { order } = live.directory;
  const rows = Array.from(order.slice(rowsWanted.from, rowsWanted.to),(slot) => rowOf('live', slot));
  post({ type: 'rows', from: rowsWanted.from, total: order.length, rows });
}

function refreshDirectory(): void {
  live.directory.refresh(live.fleet, live.roster);
  dirty = false;
}

function percentile95(values: number[]): number | null {
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length * 0.95)];
}

let lagP95: number | null = null;
function sendStats(): void {
  const { fleet, directory } = live;
  post({
    type: 'stats',
    stats: {
      link: linkState,
      looks: [...directory.looks],
      count: fleet.count,
      matching: directory.order.length,
      shown: inView,
      applied: fleet.applied,
      frames: counters.frames,
      badFrames: counters.badFrames,
      missedFrames: counters.missedFrames,
      refused: fleet.refused,
      ageMs: counters.newestFrame === 0 ? null : Date.now() - counters.newestFrame,
      clockOffset: serverClock.offsetMs,
      lagP95,
      drawMs: counters.drawMs,
    },
  });
}

/** Tells the page once where the vehicles are, so that it can show them all. Strays don't count: 2nd to 98th percentile. */
function sendExtent(): void {
  if (extentSent || live.fleet.count === 0) return;
  const xs: number[] = [], ys: number[] = [];
  for (let i = 0; i < live.fleet.n; i++) {
    // Trackers without a fix report 0, 0.
    if (!live.fleet.present[i] || (live.fleet.x[i] === 0.5 && live.fleet.y[i] === 0.5)) continue;
    xs.push(live.fleet.x[i]);
    ys.push(live.fleet.y[i]);
  }
  if (xs.length === 0) return;
  xs.sort((a, b) => a - b);
  ys.sort((a, b) => a - b);
  const at = (values: number[], share: number): number => values[Math.round((values.length - 1) * share)];
  extentSent = true;
  post({ type: 'extent', box: [at(xs, 0.02), at(ys, 0.02), at(xs, 0.98), at(ys, 0.98)] });
}

/** The visible rows at 4 Hz, the list's order and the counts at 1 Hz. */
let beat = 0;
setInterval(() => {
  beat++;
  if (beat % 4 === 0 && dirty) refreshDirectory();
  if (beat % 4 === 0) {
    lagP95 = percentile95(lags);
    lags = [];
  }
  if (replay.id !== 0) post({ type: 'replay-clock', id: replay.id, at: replay.clock.now(Date.now()), count: replay.fleet.count });
  if (rowsWanted.to > rowsWanted.from) sendRows();
  sendStats();
  sendExtent();
}, 250);

function openReplay(id: number, open: ReplayOpen): void {
  closeReplay();
  replay.id = id;
  replay.clock.playing = false;
  replay.clock.speed = open.speed;
  replay.clock.set(open.from, Date.now());
  requestReplay(open, (error, slots, from, to) => post({ type: 'replay-opened', id, error, slots, from, to }));
}

function requestReplay(open: ReplayOpen, done: (error: string | null, slots: SlotRow[], from: number, to: number) => void): void {
  const { id } = replay;
  link?.openReplay(id, open, (answer) => {
    if (id !== replay.id) return;
    if (answer.ok) {
      replay.roster.add(answer.slots);
      replay.opened = open;
    } else {
      replay.id = 0;
    }
    done(answer.ok ? null : (answer.error ?? ''), answer.slots, answer.from, answer.to);
  });
}

/** The server's side of a replay ended with the socket: it goes on from where it was. */
function resumeReplay(): void {
  const { id, opened, clock } = replay;
  if (!opened) return;
  const at = clock.now(Date.now());
  const { playing, speed } = clock;
  requestReplay({ ...opened, speed }, (error) => {
    if (error !== null) {
      post({ type: 'replay-state', state: { id, at, playing: false, speed, done: true, error } });
      return;
    }
    controlReplay(id, { action: 'seek', at: Math.round(at) });
    if (playing) controlReplay(id, { action: 'play' });
  });
}

function closeReplay(): void {
  if (replay.id !== 0) link?.replay({ id: replay.id, action: 'close' });
  replay.id = 0;
  replay.opened = null;
  replay.selected = '';
  replay.fleet.clear();
  replay.roster.clear();
  replay.trails.clear();
}

function controlReplay(id: number, action: Exclude<ReplayAction, { action: 'open' }>): void {
  if (id !== replay.id) return;
  if (action.action === 'close') {
    closeReplay();
    return;
  }
  link?.replay({ id, ...action });
  const wall = Date.now();
  if (action.action === 'seek') {
    replay.fleet.clear();
    replay.trails.clear();
    replay.clock.set(action.at, wall);
    return;
  }
  replay.clock.set(replay.clock.now(wall), wall);
  if (action.action === 'speed') replay.clock.speed = action.speed;
  else replay.clock.playing = action.action === 'play';
}

scope.onmessage = ({ data }) => {
  if (data.type !== 'draw' && data.type !== 'rows' && data.type !== 'hit' && data.type !== 'locate' && data.type !== 'listed') wake();
  switch (data.type) {
    case 'connect':
      connect(data.origin, data.alertsAfter);
      break;
    case 'draw':
      draw(data.view, data.buffer);
      break;
    case 'options':
      options = data.options;
      break;
    case 'filter':
      live.directory.filter = data.filter;
      refreshDirectory();
      sendRows();
      sendStats();
      break;
    case 'rows':
      rowsWanted = { from: data.from, to: data.to };
      sendRows();
      break;
    case 'select':
      live.selected = data.layer === 'live' ? (data.device ?? '') : '';
      replay.selected = data.layer === 'replay' ? (data.device ?? '') : '';
      break;
    case 'listed':
      post({ type: 'listed', id: data.id, devices: Array.from(live.directory.order, (slot) => live.roster.device(slot)) });
      break;
    case 'locate': {
      const side = data.layer === 'live' ? live : replay;
      const slot = side.roster.slot(data.device);
      const known = slot >= 0 && slot < side.fleet.n && side.fleet.present[slot];
      post({ type: 'located', id: data.id, row: known ? rowOf(data.layer, slot) : null });
      break;
    }
    case 'hit':
      hit(data.id, data.x, data.y, data.radius);
      break;
    case 'renamed':
      live.roster.rename(data.device, data.name, data.fleet);
      dirty = true;
      break;
    case 'replay':
      if (data.action.action === 'open') openReplay(data.id, data.action);
      else controlReplay(data.id, data.action);
      break;
  }
};
