/** The map worker: owns the socket and all positions, answers the page, draws on request. */

import { Easel } from './easel';
import { FrameFault, Ft1Decoder, KIND_SNAPSHOT, SPEED_UNKNOWN, type FrameHeader } from './ft1';
import { Link } from './link';
import { Listing, askAt, listedOf, requestOf, rowsOf, type Ask } from './listing';
import { Live } from './live';
import { latOf, lonOf } from './mercator';
import { Painter, type Scene } from './painter';
import { EVERYBODY, type DrawOptions, type FrameReply, type FromWorker, type LayerName, type LinkState, type Selected, type ToWorker, type VehicleRow, type View } from './protocol';
import { distinct } from './pick';
import { Replay } from './replay';
import { Sight } from './sight';
import { Whereabouts } from './whereabouts';

/** More vehicles on one spot than a list to choose from should hold. */
const HITS_AT_MOST = 200;
/** Visible rows and counts; every fourth beat the list's order. */
const BEAT_MS = 250;
/** Vehicles stand on whole pixels: who has moved less than this is where it was. Fixes come ten times a second. */
const VISIBLE_PX = 0.35;
const HOLD_AT_MOST_MS = 100;

/** `self` of a dedicated worker, which the DOM's types don't know. */
const scope = globalThis as unknown as {
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
};
const post = (message: FromWorker): void => scope.postMessage(message);

let link: Link | null = null;
let linkState: LinkState = 'connecting';
const decoder = new Ft1Decoder();
const painter = new Painter();
const live = new Live();
/** Of whole fleets the server tells all, whatever is shown. */
const sight = new Sight((viewport) => {
  if (!live.whole) link?.show(viewport);
});
const whereabouts = new Whereabouts(live, sight);
/** What the page shows. */
let shownView: View | null = null;
let ask: Ask | null = null;
const listing = new Listing(() => ask, () => live.directory.filter, () => {
  sendRows();
  sendStats();
});
const replay = new Replay(() => link, post);
let options: DrawOptions = { theme: 'light', grouping: 'auto', labels: true, colouring: 'status', live: true };
let rowsWanted = { from: 0, to: 0 };
let insideWanted = false;
let badFrames = 0;
let inView = 0;
let drawMs = 0;
const easel = new Easel();
/** The page has a picture that holds. */
let still = false;

/** Something changed that the picture shows. */
function wake(): void {
  if (still) post({ type: 'wake' });
  still = false;
}

/** A broken frame is counted and left out; what is on the map stays. */
function decode(bytes: Uint8Array): FrameHeader | null {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    if (!(error instanceof FrameFault)) throw error;
    badFrames++;
    return null;
  }
}

const followed = (): string[] => (live.selected === '' ? [] : [live.selected]);

/** Whether the server tells of all vehicles, or of what the map shows: then it is asked for the list too. */
function setWhole(whole: boolean): void {
  live.whole = whole;
  listing.active = !whole;
  if (whole) return;
  // Either may have changed unsaid.
  link?.show(sight.now);
  link?.follow(followed());
  link?.only(live.directory.filter.fleet);
}

function connect(origin: string, base: string, alertsAfter: string | null): void {
  ask = askAt(base);
  link = new Link(origin, alertsAfter, {
    state: (state) => {
      linkState = state;
      sendStats();
    },
    joining: () => {
      live.joining();
      const { fleet } = live.directory.filter;
      return { viewport: sight.now, follow: followed(), inside: insideWanted, ...(fleet === null ? {} : { only: fleet }) };
    },
    watching: ({ epoch, whole }) => {
      live.enter(epoch);
      setWhole(whole);
      replay.resume(Date.now());
      if (linkState === 'lost') post({ type: 'rejoined' });
    },
    frame: (bytes) => {
      const frame = decode(bytes);
      if (!frame) return;
      live.frame(decoder, frame, Date.now());
      link?.ack(frame.seq, bytes.length, frame.kind === KIND_SNAPSHOT);
      wake();
    },
    slots: (message) => {
      live.slots(message);
      wake();
    },
    alert: (alert) => post({ type: 'alert', alert }),
    notice: (notice) => post({ type: 'notice', notice }),
    catalog: (change) => post({ type: 'catalog', change }),
    detail: ({ whole }) => setWhole(whole),
    inside: (inside) => post({ type: 'inside', inside }),
    replayFrame: (id, bytes) => {
      const frame = decode(bytes);
      if (!frame || id !== replay.id) return;
      replay.frame(decoder, frame, Date.now());
      wake();
    },
    replayState: (state) => {
      if (state.id === replay.id) replay.state(state, Date.now());
    },
    replayAlert: (id, alert) => post({ type: 'replay-alert', id, alert }),
  });
}

const sideOf = (layer: LayerName): Live | Replay => (layer === 'live' ? live : replay);

function rowOf(layer: LayerName, slot: number): VehicleRow {
  const { fleet, roster } = sideOf(layer);
  return {
    slot,
    device: roster.device(slot),
    name: roster.name(slot),
    fleet: roster.fleet(slot),
    look: fleet.look[slot],
    speedKmh: fleet.speed[slot] === SPEED_UNKNOWN ? null : fleet.speed[slot] / 10,
    courseDeg: (fleet.course[slot] * 360) / 256,
    fixTime: fleet.fix[slot],
    lat: latOf(fleet.y[slot]),
    lon: lonOf(fleet.x[slot]),
  };
}

/** The slot of a device that is on the map now, or -1. */
function presentSlot(layer: LayerName, device: string): number {
  const { fleet, roster } = sideOf(layer);
  const slot = roster.slot(device);
  return slot >= 0 && slot < fleet.n && fleet.present[slot] ? slot : -1;
}

function selection(wall: number): Selected | null {
  const layer: LayerName = replay.id !== 0 && replay.selected !== '' ? 'replay' : 'live';
  const { fleet, clock, selected } = sideOf(layer);
  const slot = presentSlot(layer, selected);
  if (slot < 0) return null;
  const now = clock.now(wall);
  return { layer, row: rowOf(layer, slot), x: fleet.reckonX(slot, now, wall), y: fleet.reckonY(slot, now, wall) };
}

function scenes(wall: number): Scene[] {
  const list: Scene[] = [];
  if (options.live) {
    list.push({
      fleet: live.fleet, clock: live.clock.now(wall), nameOf: (slot) => live.roster.name(slot),
      selected: presentSlot('live', live.selected), cells: live.cells.viewport && live.cells, trails: null, trailSpan: 0,
    });
  }
  if (replay.id !== 0) {
    list.push({
      fleet: replay.fleet, clock: replay.clock.now(wall), nameOf: (slot) => replay.roster.name(slot),
      selected: presentSlot('replay', replay.selected), cells: null, trails: replay.trails,
      trailSpan: replay.trailSpan,
    });
  }
  return list;
}

function draw(view: View): void {
  const began = performance.now();
  const wall = Date.now();
  shownView = view;
  if (!whereabouts.wanted) sight.show(view);
  const shown = scenes(wall);
  inView = painter.paint(easel.pixels(view.w, view.h), view, shown, options, wall);
  still = !shown.some((scene) => scene.fleet.active);
  // A replay's clock runs at any speed.
  const fastest = shown.some((scene) => scene.trails) ? Infinity : shown.reduce((most, { fleet }) => Math.max(most, fleet.fastest), 0);
  const holdMs = Math.min(HOLD_AT_MOST_MS, (VISIBLE_PX * view.dpr) / fastest);
  const reply: Omit<FrameReply, 'picture'> = { type: 'frame', view, shown: inView, selected: selection(wall), still, holdMs };
  easel.picture().then(
    (picture) => scope.postMessage({ ...reply, picture }, [picture]),
    () => post({ ...reply, picture: null, still: false, holdMs: HOLD_AT_MOST_MS }),
  );
  drawMs += (performance.now() - began - drawMs) * 0.1;
}

function hit(id: number, x: number, y: number, radius: number): void {
  const { those, more } = distinct(painter.near(x, y, radius), HITS_AT_MOST);
  const hits = those.map(({ scene, slot }) => {
    const layer: LayerName = options.live && scene === 0 ? 'live' : 'replay';
    return { layer, row: rowOf(layer, slot) };
  });
  // The mark of a counted cell is wider than a vehicle.
  const cell = hits.length === 0 && painter.near(x, y, 2 * radius).includes(null);
  post({ type: 'hit', id, hits, more, cell });
}

function sendRows(): void {
  if (listing.active) {
    post({ type: 'rows', from: listing.answer.from, total: listing.answer.matching, rows: rowsOf(listing.answer) });
    return;
  }
  const { order } = live.directory;
  const rows = Array.from(order.slice(rowsWanted.from, rowsWanted.to), (slot) => rowOf('live', slot));
  post({ type: 'rows', from: rowsWanted.from, total: order.length, rows });
}

function counts(): { looks: number[]; count: number; matching: number } {
  const { looks, count, matching } = listing.answer;
  if (listing.active) return { looks, count, matching };
  const { fleet, directory } = live;
  return { looks: [...directory.looks], count: fleet.count, matching: directory.order.length };
}

/** Device ids of all vehicles that pass the filter. */
async function listed(): Promise<string[]> {
  if (!listing.active || !ask) return Array.from(live.directory.order, (slot) => live.roster.device(slot));
  return listedOf(ask, live.directory.filter);
}

/** A vehicle on the map, or wherever the server knows it to be. */
async function located(layer: LayerName, device: string): Promise<VehicleRow | null> {
  const slot = presentSlot(layer, device);
  if (slot >= 0) return rowOf(layer, slot);
  if (layer === 'replay' || !listing.active || !ask) return null;
  return rowsOf(await ask(requestOf({ ...EVERYBODY, devices: [device] }, 0, 1)))[0] ?? null;
}

function sendStats(): void {
  const { fleet, frames, newestFrame, clock, lagP95, ageP99 } = live;
  post({
    type: 'stats',
    stats: {
      link: linkState, ...counts(), shown: inView, cells: live.cells.size,
      applied: fleet.applied, frames, badFrames, refused: fleet.refused,
      ageMs: newestFrame === 0 ? null : Date.now() - newestFrame, clockOffset: clock.offsetMs, lagP95, ageP99, drawMs,
    },
  });
}

/** Tells the page where the vehicles are, if it waits for that and it is known. */
function sendExtent(): void {
  const box = whereabouts.answer();
  if (!box) return;
  post({ type: 'extent', box });
  if (shownView) sight.show(shownView);
}

let beat = 0;
setInterval(() => {
  if (++beat % 4 === 0) live.tidy();
  if (replay.id !== 0) post({ type: 'replay-clock', id: replay.id, at: replay.clock.now(Date.now()), count: replay.fleet.count, applied: replay.fleet.applied });
  if (rowsWanted.to > rowsWanted.from && !listing.active) sendRows();
  sendStats();
  sendExtent();
}, BEAT_MS);

/** Questions leave the picture as it is. */
const QUESTIONS: ReadonlySet<ToWorker['type']> = new Set(['draw', 'rows', 'hit', 'locate', 'listed', 'inside']);

scope.onmessage = ({ data }) => {
  if (!QUESTIONS.has(data.type)) wake();
  switch (data.type) {
    case 'connect':
      connect(data.origin, data.base, data.alertsAfter);
      break;
    case 'draw':
      draw(data.view);
      break;
    case 'options':
      options = data.options;
      replay.trailMs = options.trailMs ?? null;
      break;
    case 'filter':
      if (!live.whole && data.filter.fleet !== live.directory.filter.fleet) link?.only(data.filter.fleet);
      live.cells.wanted = data.filter.looks;
      live.directory.filter = data.filter;
      live.refresh();
      listing.soon();
      sendRows();
      sendStats();
      break;
    case 'rows':
      rowsWanted = { from: data.from, to: data.to };
      listing.want(data.from, data.to);
      sendRows();
      break;
    case 'select':
      live.selected = data.layer === 'live' ? (data.device ?? '') : '';
      if (!live.whole) link?.follow(followed());
      replay.selected = data.layer === 'replay' ? (data.device ?? '') : '';
      break;
    case 'whereabouts':
      whereabouts.ask();
      sendExtent();
      break;
    case 'listed':
      void listed().catch(() => null).then((devices) => post({ type: 'listed', id: data.id, devices }));
      break;
    case 'inside':
      insideWanted = data.on;
      link?.inside(data.on);
      break;
    case 'locate':
      void located(data.layer, data.device).catch(() => null).then((row) => post({ type: 'located', id: data.id, row }));
      break;
    case 'hit':
      hit(data.id, data.x, data.y, data.radius);
      break;
    case 'renamed':
      live.rename(data.device, data.name, data.fleet);
      break;
    case 'replay':
      replay.act(data.id, data.action, Date.now());
      break;
  }
};
