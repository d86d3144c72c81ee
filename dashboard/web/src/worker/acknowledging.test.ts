/** The worker's acknowledgements as a server sees them: real sockets, a real Socket.IO server. Only the clocks stand still until they are told to go on. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Server, type Socket } from 'socket.io';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import frames from '../wire/frames.json';
import { KIND_DELTA, KIND_REMOVED, KIND_SNAPSHOT } from './ft1';
import type { FromWorker, ToWorker } from './protocol';

/** How often the gateway sends what has moved, ms. */
const TICK_MS = 100;
/** Small frames in flight, as the gateway has it. */
const WINDOW = Number(/WINDOW: usize = (\d+);/.exec(readFileSync(join(import.meta.dirname, '../../../gateway/src/live/window.rs'), 'utf8'))?.[1]);
const HEADER_BYTES = 32;

let http: HttpServer;
let io: Server;
let socket: Socket;
let acked: number[] = [];
let seq = 0;
/** The page hears something. */
let told: (message: FromWorker) => void = () => undefined;

/** The next frame: empty, or so many bytes of vehicles that have left. */
function frame(kind: number, bytes = HEADER_BYTES): Buffer {
  const frame = Buffer.alloc(bytes);
  frame.write(frames[0].hex, 'hex');
  frame.writeUInt8(0x10 | kind, 1);
  frame.writeUInt32LE(++seq, 8);
  // Each slot is the next: a byte of zero.
  frame.writeUInt32LE(bytes - HEADER_BYTES, 20);
  return frame;
}

/** Sends frames, and answers what has been acknowledged until the browser had taken them all: what it answers comes in order. */
async function send(...all: Buffer[]): Promise<number[]> {
  acked = [];
  for (const each of all) socket.emit('f', each);
  await socket.emitWithAck('notice', { text: '' });
  return acked;
}

/** So much later. */
async function after(ms: number, ...all: Buffer[]): Promise<number[]> {
  vi.advanceTimersByTime(ms);
  return send(...all);
}

/** A browser that comes, or comes back, and watches. */
async function joined(): Promise<void> {
  const [came] = await once(io, 'connection') as [Socket];
  socket = came;
  socket.on('ack', (newest: number) => acked.push(newest));
  await new Promise<void>((done) => {
    socket.once('watch', (_, reply: (answer: object) => void) => {
      reply({ epoch: 1, whole: true, cursor: null });
      done();
    });
  });
}

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  // What it draws on, and the page.
  vi.stubGlobal('OffscreenCanvas', class { getContext = (): null => null; });
  vi.stubGlobal('ImageData', class {});
  vi.stubGlobal('postMessage', (message: FromWorker) => told(message));
  http = createServer();
  io = new Server(http);
  await once(http.listen(0, '127.0.0.1'), 'listening');
  await import('./worker');
  const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const connect: ToWorker = { type: 'connect', origin, base: origin, alertsAfter: null };
  const isThere = joined();
  (globalThis as unknown as { onmessage: (event: { data: ToWorker }) => void }).onmessage({ data: connect });
  await isThere;
});

afterAll(async () => {
  vi.restoreAllMocks();
  socket.disconnect(true);
  await io.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Nothing is left to be acknowledged, and it is long enough ago that something was. */
beforeEach(async () => {
  await after(1_000, frame(KIND_SNAPSHOT));
  await after(1_000);
});

it('acknowledges a frame after silence at once, and those after it twice a second', async () => {
  expect(await send(frame(KIND_DELTA))).toEqual([seq]);
  const acks: number[] = [];
  for (let tick = 1; tick <= 30; tick++) acks.push(...await after(TICK_MS, frame(KIND_DELTA)));
  // Each stands for the five since the one before.
  const last = seq;
  expect(acks).toEqual([25, 20, 15, 10, 5, 0].map((before) => last - before));
});

it('acknowledges half a second later what nothing comes after, once', async () => {
  expect(await send(frame(KIND_DELTA), frame(KIND_DELTA), frame(KIND_DELTA))).toEqual([seq - 2]);
  expect(await after(499)).toEqual([]);
  expect(await after(1)).toEqual([seq]);
  expect(await after(5_000)).toEqual([]);
});

it('acknowledges at once when 8 KiB have come, and no byte before', async () => {
  expect(await send(frame(KIND_DELTA))).toEqual([seq]);
  expect(await send(frame(KIND_REMOVED, 8_191))).toEqual([]);
  expect(await send(frame(KIND_DELTA))).toEqual([seq]);
  expect(await send(frame(KIND_REMOVED, 8_192))).toEqual([seq]);
  // Names count, as the server counts them.
  socket.emit('slots', { epoch: 1, slots: [[0, 'a device', 'N'.repeat(8_192), 'north']] });
  expect(await send(frame(KIND_DELTA))).toEqual([seq]);
  expect(await send(frame(KIND_DELTA))).toEqual([]);
});

it('acknowledges every part of a snapshot at once', async () => {
  const parts = [frame(KIND_SNAPSHOT), frame(KIND_SNAPSHOT), frame(KIND_SNAPSHOT)];
  expect(await send(...parts)).toEqual([seq - 2, seq - 1, seq]);
});

it('never lets the window of a server close that hears of it half a second later', async () => {
  expect(WINDOW).toBe(12);
  /** By tick, what is heard of then. */
  const heard: number[][] = [];
  let known = seq;
  let most = 0;
  for (let tick = 0; tick < 50; tick++) {
    known = Math.max(known, ...heard[tick] ?? []);
    most = Math.max(most, seq + 1 - known);
    heard[tick + 500 / TICK_MS] = await after(TICK_MS, frame(KIND_DELTA));
  }
  expect(most).toBeLessThanOrEqual(WINDOW);
  // And it is needed: with half of it frames would wait.
  expect(most).toBeGreaterThan(WINDOW / 2);
});

it('acknowledges nothing of before to a server that it has come back to', async () => {
  // So the browser tries again after some 380 ms.
  vi.spyOn(Math, 'random').mockReturnValue(0.49);
  expect(await send(frame(KIND_DELTA), frame(KIND_DELTA))).toEqual([seq - 1]);
  const isBack = joined();
  const isLost = new Promise<void>((lost) => {
    told = (message) => {
      if (message.type === 'stats' && message.stats.link === 'lost') lost();
    };
  });
  socket.conn.close();
  await isLost;
  vi.advanceTimersByTime(400);
  await isBack;
  expect(await after(1_000)).toEqual([]);
  // Frames are counted anew where the server has been restarted.
  seq = 0;
  expect(await send(frame(KIND_SNAPSHOT))).toEqual([1]);
});
