/** The connection: one socket, watched fleets, frames acknowledged, alerts caught up after a break. */

import { io, type Socket } from 'socket.io-client';
import type {
  AlertEvent, CatalogMessage, DetailMessage, FollowRequest, InsideMessage, InsideRequest, NoticeMessage, OnlyRequest, ReplayAck, ReplayAlert, ReplayAnswer, ReplayRequest, ReplayState,
  SlotsMessage, Viewport, WatchAnswer, WatchRequest,
} from '../wire/types';
import { ACK_EVERY_MS, Acks } from './acks';
import type { LinkState, ReplayOpen } from './protocol';

interface FromServer {
  f: (frame: ArrayBuffer) => void;
  slots: (slots: SlotsMessage) => void;
  alert: (alert: AlertEvent) => void;
  catalog: (change: CatalogMessage) => void;
  detail: (detail: DetailMessage) => void;
  inside: (inside: InsideMessage) => void;
  notice: (notice: NoticeMessage, shown: (yes: boolean) => void) => void;
  r: (id: number, frame: ArrayBuffer) => void;
  replay_state: (state: ReplayState) => void;
  replay_alert: (alert: ReplayAlert) => void;
}
interface ToServer {
  watch: (request: WatchRequest, reply: (answer: WatchAnswer) => void) => void;
  viewport: (viewport: Viewport) => void;
  follow: (request: FollowRequest) => void;
  only: (request: OnlyRequest) => void;
  inside: (request: InsideRequest) => void;
  ack: (seq: number) => void;
  replay: (...said: [request: ReplayRequest] | [request: ReplayRequest, reply: (answer: ReplayAnswer) => void]) => void;
  replay_ack: (ack: ReplayAck) => void;
}

export interface LinkHandlers {
  state: (state: LinkState) => void;
  /** Watching is about to be asked for: what the map shows, who is followed, whether geofences are counted, and the fleet that is shown only. */
  joining: () => { viewport: Viewport; follow: string[]; inside: boolean; only?: string };
  /** The watch was accepted: a snapshot follows. */
  watching: (reply: WatchAnswer) => void;
  frame: (bytes: Uint8Array) => void;
  slots: (slots: SlotsMessage) => void;
  alert: (alert: AlertEvent) => void;
  catalog: (change: CatalogMessage) => void;
  detail: (detail: DetailMessage) => void;
  inside: (inside: InsideMessage) => void;
  notice: (notice: NoticeMessage) => void;
  replayFrame: (id: number, bytes: Uint8Array) => void;
  replayState: (state: ReplayState) => void;
  replayAlert: (id: number, alert: AlertEvent) => void;
}

/** How the server refuses a socket without a session. */
const UNAUTHORISED = 'unauthorised';
/** Without an answer for so long, or this long after it was refused, it is asked again. */
const WATCH_AGAIN_MS = 5_000;
/** A replay that is not open by then never will be: the server gives up long before. */
const OPEN_AT_MOST_MS = 120_000;

export class Link {
  private socket: Socket<FromServer, ToServer>;
  /** The newest alert seen: after a break the server sends what came after it. */
  private alertsAfter: string | null;
  private acks = new Acks();
  private acknowledging: ReturnType<typeof setTimeout> | undefined;

  constructor(origin: string, alertsAfter: string | null, handlers: LinkHandlers) {
    this.alertsAfter = alertsAfter;
    const socket: Socket<FromServer, ToServer> = io(origin, {
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 10_000,
      // Half of each delay is random: a restarted server isn't met by all browsers at once.
      randomizationFactor: 0.5,
    });
    this.socket = socket;
    const watch = (): void => {
      const request = { fleets: null, alerts_after: this.alertsAfter, ...handlers.joining() };
      socket.timeout(WATCH_AGAIN_MS).emit('watch', request, (silence, reply) => {
        if (silence !== null || reply.error !== undefined) {
          handlers.state('lost');
          setTimeout(() => socket.connected && watch(), silence === null ? WATCH_AGAIN_MS : 0);
          return;
        }
        this.alertsAfter ??= reply.cursor;
        handlers.watching(reply);
        handlers.state('online');
      });
    };
    socket.on('connect', watch);
    socket.on('disconnect', (reason) => {
      // After a break the server has forgotten what it sent before, and may count anew.
      clearTimeout(this.acknowledging);
      this.acknowledging = undefined;
      this.acks = new Acks();
      handlers.state('lost');
      // The client does not come back by itself after the server has closed it.
      if (reason === 'io server disconnect') setTimeout(() => socket.connect(), 1_000 + Math.random() * 2_000);
    });
    socket.on('connect_error', (error) => {
      if (error.message.includes(UNAUTHORISED)) {
        socket.disconnect();
        handlers.state('unauthorised');
        return;
      }
      handlers.state('lost');
      // Refused by the server rather than unreachable: the client gives up, we don't.
      if (!socket.active) setTimeout(() => socket.connect(), 2_000 + Math.random() * 3_000);
    });
    socket.on('f', (frame) => handlers.frame(new Uint8Array(frame)));
    socket.on('slots', (slots) => {
      this.acks.rows(slots);
      handlers.slots(slots);
    });
    socket.on('alert', (alert) => {
      this.alertsAfter = alert.cursor ?? this.alertsAfter;
      handlers.alert(alert);
    });
    socket.on('catalog', handlers.catalog);
    socket.on('detail', handlers.detail);
    socket.on('inside', handlers.inside);
    socket.on('notice', (notice, shown) => {
      handlers.notice(notice);
      shown(true);
    });
    socket.on('r', (id, frame) => handlers.replayFrame(id, new Uint8Array(frame)));
    socket.on('replay_state', handlers.replayState);
    socket.on('replay_alert', (alert) => handlers.replayAlert(alert.id, alert));
  }

  /** Nothing is kept for later: when the connection is back, `watch` says it. */
  show(viewport: Viewport): void {
    if (this.socket.connected) this.socket.emit('viewport', viewport);
  }

  follow(devices: string[]): void {
    if (this.socket.connected) this.socket.emit('follow', { devices });
  }

  /** Null: all fleets. */
  only(fleet: string | null): void {
    if (this.socket.connected) this.socket.emit('only', { fleet });
  }

  /** Whether to be told how many vehicles are inside of each geofence. */
  inside(on: boolean): void {
    if (this.socket.connected) this.socket.emit('inside', { on });
  }

  /** The newest frame, which was so long: it stands for all before it. */
  ack(seq: number, bytes: number, ofSnapshot: boolean): void {
    if (this.acks.frame(seq, bytes, ofSnapshot, performance.now())) this.acknowledge();
    else this.acknowledging ??= setTimeout(() => this.acknowledge(), ACK_EVERY_MS);
  }

  private acknowledge(): void {
    clearTimeout(this.acknowledging);
    this.acknowledging = undefined;
    const newest = this.acks.take(performance.now());
    if (newest !== null) this.socket.emit('ack', newest);
  }

  /** Answers null if the connection is lost before the server has answered. */
  openReplay(id: number, open: ReplayOpen, reply: (answer: ReplayAnswer | null) => void): void {
    this.socket.timeout(OPEN_AT_MOST_MS).emit('replay', { id, ...open }, (silence, answer) => reply(silence === null ? answer : null));
  }

  replay(request: ReplayRequest): void {
    this.socket.emit('replay', request);
  }

  ackReplay(id: number, seq: number): void {
    this.socket.emit('replay_ack', { id, seq });
  }
}
