/** The connection to a real Socket.IO server: what is said when it begins, and after it was lost. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type ServerOptions, type Socket } from 'socket.io';
import { afterEach, expect, it, vi } from 'vitest';
import type { WatchRequest } from '../wire/types';
import { Link, type LinkHandlers } from './link';

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  await Promise.all(closing.splice(0).map((close) => close()));
});

async function served(options: Partial<ServerOptions> = {}): Promise<{ io: Server; origin: string }> {
  const http = createServer();
  const io = new Server(http, options);
  await once(http.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => io.close());
  return { io, origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
}

type Reply = (answer: object) => void;

/** The next browser that watches, what it asked for, and how it is answered. */
const watched = (io: Server): Promise<[Socket, WatchRequest, Reply]> => new Promise((resolve) => {
  io.once('connection', (socket) => void socket.once('watch', (request: WatchRequest, reply: Reply) => resolve([socket, request, reply])));
});

/** Nobody listens, but for who says so. */
const handlers = (some: Partial<LinkHandlers> = {}): LinkHandlers => {
  const nothing = (): void => undefined;
  return {
    state: nothing, joining: () => ({ viewport: { zoom: 4, x: 0, y: 0, w: 16, h: 16 }, follow: ['van'], inside: true, only: 'north' }), watching: nothing, frame: nothing, slots: nothing,
    alert: nothing, catalog: nothing, detail: nothing, inside: nothing, notice: nothing, replayFrame: nothing, replayState: nothing, replayAlert: nothing, ...some,
  };
};

it('says what is shown when it begins, and after a break the newest alert that it has seen', async () => {
  const { io, origin } = await served();
  const first = watched(io);
  const alerts: string[] = [];
  const states: string[] = [];
  new Link(origin, null, handlers({ alert: ({ event_id }) => alerts.push(event_id), state: (state) => states.push(state) }));
  const [socket, request, reply] = await first;
  expect(request).toEqual({ fleets: null, alerts_after: null, viewport: { zoom: 4, x: 0, y: 0, w: 16, h: 16 }, follow: ['van'], inside: true, only: 'north' });
  reply({ epoch: 1, whole: true, cursor: 'c0' });

  // Nothing has happened: what comes after the answer is missed.
  const second = watched(io);
  socket.conn.close();
  const [again, askedAgain, replyAgain] = await second;
  expect(askedAgain.alerts_after).toBe('c0');
  replyAgain({ epoch: 1, whole: true, cursor: 'c9' });

  const third = watched(io);
  again.emit('alert', { event_id: 'a', cursor: 'c1' });
  again.emit('alert', { event_id: 'b', cursor: 'c2' });
  // One whose place among the others is not told yet.
  again.emit('alert', { event_id: 'c' });
  await again.emitWithAck('notice', { from: '', text: '' });
  again.conn.close();
  const [last, lastRequest] = await third;
  expect(alerts).toEqual(['a', 'b', 'c']);
  expect(lastRequest.alerts_after).toBe('c2');
  expect(states).toEqual(['online', 'lost', 'online', 'lost']);
  last.disconnect();
});

it('comes back also where the server has closed it', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const { io, origin } = await served();
  const first = watched(io);
  new Link(origin, 'c5', handlers());
  const [socket, request] = await first;
  expect(request.alerts_after).toBe('c5');
  const second = watched(io);
  socket.disconnect(true);
  expect((await second)[1].alerts_after).toBe('c5');
});

it('goes by long polling where no WebSocket passes', async () => {
  const { io, origin } = await served({ transports: ['polling'] });
  const first = watched(io);
  const frame = new Promise<Uint8Array>((frame) => new Link(origin, null, handlers({ frame })));
  const [socket] = await first;
  expect(socket.conn.transport.name).toBe('polling');
  socket.emit('f', Buffer.from([0x46, 0, 255]));
  expect([...await frame]).toEqual([0x46, 0, 255]);
});

it('says that its session has ended, and asks no more', async () => {
  const { io, origin } = await served();
  let asked = 0;
  io.use((_, next) => {
    asked++;
    next(new Error('unauthorised'));
  });
  const states: string[] = [];
  const refused = (): Promise<void> => new Promise((told) => {
    new Link(origin, null, handlers({
      state: (state) => {
        states.push(state);
        told();
      },
    }));
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await refused();
  // Had it asked again, then before another one does.
  vi.advanceTimersByTime(60_000);
  await refused();
  expect([states, asked]).toEqual([['unauthorised', 'unauthorised'], 2]);
});
