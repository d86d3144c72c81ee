import { expect, it } from 'vitest';
import { Ft1Decoder, FLAG_FOLLOWED, FLAG_LAST, KIND_CELLS, KIND_DELTA, KIND_REMOVED, KIND_SNAPSHOT, type FrameHeader } from './ft1';
import type { Link } from './link';
import { Live } from './live';
import type { FromWorker } from './protocol';
import { Replay } from './replay';

function columns(...slots: number[]): Ft1Decoder {
  const decoder = new Ft1Decoder();
  const n = slots.length;
  decoder.slot = Uint32Array.from(slots);
  for (const key of ['lat', 'lon'] as const) decoder[key] = new Int32Array(n).fill(1_000_000);
  decoder.speed = new Uint16Array(n);
  decoder.course = new Uint8Array(n);
  decoder.dt = new Float64Array(n);
  decoder.status = new Uint8Array(n).fill(4);
  decoder.looks = new Uint8Array(n);
  decoder.cellSpeed = new Uint8Array(n);
  decoder.place = new Uint8Array(n);
  return decoder;
}
const head = (kind: number, n: number, more: Partial<FrameHeader> = {}): FrameHeader =>
  ({ kind, flags: 6, epoch: 1, seq: 1, t0: 1_000_000, n, viewport: null, ...more });

it('takes slots of another epoch for other vehicles', () => {
  const live = new Live();
  live.slots({ epoch: 1, slots: [[0, 'a', 'A', 'f'], [1, 'b', 'B', 'f']] });
  live.frame(columns(0, 1), head(KIND_SNAPSHOT, 2, { flags: FLAG_LAST }), 0);
  live.enter(2);
  expect([live.fleet.count, live.roster.slot('a')]).toEqual([0, -1]);
  live.slots({ epoch: 2, slots: [[0, 'b', 'B', 'f']] });
  live.frame(columns(0), head(KIND_SNAPSHOT, 1, { epoch: 2, flags: FLAG_LAST }), 0);
  live.tidy();
  expect(Array.from(live.directory.order, (slot) => live.roster.device(slot))).toEqual(['b']);
});

it('forgets after a reconnection who has gone meanwhile, and shows everybody until then', () => {
  const live = new Live();
  live.joining();
  live.frame(columns(0, 1, 2), head(KIND_SNAPSHOT, 3, { flags: FLAG_LAST }), 0);
  live.joining();
  live.frame(columns(0), head(KIND_SNAPSHOT, 1), 0);
  expect(live.fleet.count).toBe(3);
  live.frame(columns(2), head(KIND_SNAPSHOT, 1, { flags: FLAG_LAST }), 0);
  expect(live.fleet.count).toBe(2);
});

/** A replay with a link that notes what is sent and answers every open. */
function replayWithLink(answers = { lost: false }): { replay: Replay; sent: string[]; posted: FromWorker[] } {
  const sent: string[] = [];
  const posted: FromWorker[] = [];
  const link: Pick<Link, 'openReplay' | 'replay' | 'ackReplay'> = {
    openReplay: (id, open, reply) => {
      sent.push(`open ${id} x${open.speed}`);
      reply(answers.lost ? null : { ok: true, slots: [[0, 'a', 'A', 'f']], from: open.from, to: open.to });
    },
    replay: (request) => sent.push(request.action === 'seek' ? `seek ${request.at}` : request.action),
    ackReplay: (_, seq) => sent.push(`ack ${seq}`),
  };
  return { replay: new Replay(() => link as Link, (message) => posted.push(message)), sent, posted };
}
const OPEN = { action: 'open', devices: null, fleet: null, from: 0, to: 10_000_000, speed: 10 } as const;

it('shows the vehicles of all frames of one snapshot, and only those after a seek', () => {
  const { replay, sent } = replayWithLink();
  replay.act(1, OPEN, 0);
  replay.frame(columns(0, 1), head(KIND_SNAPSHOT, 2), 0);
  replay.frame(columns(2), head(KIND_SNAPSHOT, 1, { flags: FLAG_LAST, seq: 2 }), 0);
  expect(replay.fleet.count).toBe(3);
  replay.act(1, { action: 'seek', at: 5_000_000 }, 0);
  // One that was under way.
  replay.frame(columns(4), head(KIND_DELTA, 1, { seq: 3 }), 0);
  replay.frame(columns(0), head(KIND_SNAPSHOT, 1, { t0: 5_000_000, flags: FLAG_LAST, seq: 4 }), 0);
  expect([replay.fleet.count, replay.fleet.present[0]]).toEqual([1, 1]);
  expect(sent).toEqual(['open 1 x10', 'ack 1', 'ack 2', 'seek 5000000', 'ack 3', 'ack 4']);
});

it('goes on after a lost connection from where it was, at its speed', () => {
  const { replay, sent } = replayWithLink();
  replay.resume(0);
  replay.act(7, OPEN, 0);
  replay.act(7, { action: 'play' }, 0);
  replay.state({ id: 7, at: 60_000, playing: true, speed: 20, done: false }, 1_000);
  sent.length = 0;
  replay.resume(1_100);
  expect(sent).toEqual(['open 7 x20', 'seek 62000', 'play']);
});

it('says that the connection was lost before it was open, and opens again what was', () => {
  const answers = { lost: true };
  const { replay, sent, posted } = replayWithLink(answers);
  replay.act(1, OPEN, 0);
  expect(posted).toMatchObject([{ type: 'replay-opened', id: 1, error: '' }]);
  answers.lost = false;
  replay.act(2, OPEN, 0);
  answers.lost = true;
  replay.resume(0);
  answers.lost = false;
  replay.resume(0);
  expect(sent).toEqual(['open 1 x10', 'open 2 x10', 'open 2 x10', 'open 2 x10', 'seek 0']);
  expect(posted).toHaveLength(2);
});

it('leaves an action for another replay alone', () => {
  const { replay, sent } = replayWithLink();
  replay.act(1, OPEN, 0);
  replay.act(2, { action: 'play' }, 0);
  replay.act(1, { action: 'close' }, 0);
  replay.resume(0);
  expect(sent).toEqual(['open 1 x10', 'close']);
});

it('keeps a followed vehicle on the map whatever leaves the view, until it is followed no more', () => {
  const live = new Live();
  live.whole = false;
  live.joining();
  live.slots({ epoch: 1, slots: [[0, 'a', 'A', 'f'], [1, 'b', 'B', 'f'], [2, 'c', 'C', 'f']] });
  const followed = { flags: FLAG_FOLLOWED | FLAG_LAST };
  live.frame(columns(0, 2), head(KIND_SNAPSHOT, 2, followed), 0);
  live.frame(columns(0, 1), head(KIND_SNAPSHOT, 2, { flags: FLAG_LAST }), 0);
  expect(live.fleet.count).toBe(3);
  live.frame(columns(0, 1), head(KIND_REMOVED, 2), 0);
  expect([live.fleet.count, live.roster.device(0), live.roster.device(1)]).toEqual([2, 'a', '']);
  live.frame(columns(2), head(KIND_REMOVED, 1, { flags: FLAG_FOLLOWED }), 0);
  live.frame(columns(), head(KIND_SNAPSHOT, 0, followed), 0);
  expect(live.fleet.count).toBe(0);
});

it('forgets after a reconnection cells and followed vehicles that are not told of again', () => {
  const live = new Live();
  const cells = (): void => live.frame(Object.assign(columns(0), { count: new Uint32Array(1).fill(9) }), head(KIND_CELLS, 1, { viewport: { zoom: 4, x: 0, y: 0, w: 1, h: 1 } }), 0);
  cells();
  live.frame(columns(5), head(KIND_SNAPSHOT, 1, { flags: FLAG_FOLLOWED | FLAG_LAST }), 0);
  live.joining();
  expect([live.cells.size, live.fleet.count]).toEqual([1, 1]);
  cells();
  live.frame(columns(), head(KIND_SNAPSHOT, 0, { flags: FLAG_LAST }), 0);
  expect([live.cells.size, live.fleet.count]).toEqual([1, 0]);
  live.joining();
  live.frame(columns(1), head(KIND_SNAPSHOT, 1, { flags: FLAG_LAST }), 0);
  expect([live.cells.viewport, live.fleet.count]).toEqual([null, 1]);
});

it('does not flash up vehicles that come into view and pass no filter', () => {
  const live = new Live();
  live.slots({ epoch: 1, slots: [[0, 'a', 'A', 'f'], [1, 'b', 'B', 'f']] });
  const comes = (slot: number): number => {
    live.frame(columns(slot), head(KIND_DELTA, 1), 0);
    return live.fleet.shown[slot];
  };
  live.whole = false;
  live.refresh();
  expect(comes(0)).toBe(1);
  live.directory.filter = { ...live.directory.filter, text: 'b' };
  live.refresh();
  expect(comes(1)).toBe(0);
  live.tidy();
  expect([...live.fleet.shown.subarray(0, 2)]).toEqual([0, 1]);
});
