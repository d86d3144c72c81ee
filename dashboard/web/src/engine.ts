/** The page's side of the map worker: starts it, asks it, and puts what it tells into the store. */

import type { Store } from './state';
import { texts } from './texts';
import type { AlertEvent, CatalogMessage, InsideMessage, NoticeMessage, ReplayAction, ReplayState } from './wire/types';
import type { FromWorker, FrameReply, LayerName, SlotRow, ToWorker, VehicleRow, View } from './worker/protocol';

export type Hit = Extract<FromWorker, { type: 'hit' }>;
export type Rows = Extract<FromWorker, { type: 'rows' }>;

/** What others want to hear of. */
export interface EngineEvents {
  frame: (reply: FrameReply) => void;
  wake: () => void;
  rows: (rows: Rows) => void;
  extent: (box: [number, number, number, number]) => void;
  alert: (alert: AlertEvent) => void;
  notice: (notice: NoticeMessage) => void;
  catalog: (change: CatalogMessage) => void;
  /** The fleets are watched again after a break. */
  rejoined: () => void;
  inside: (inside: InsideMessage) => void;
  replayOpened: (opened: { id: number; error: string | null; slots: SlotRow[]; from: number; to: number }) => void;
  replayState: (state: ReplayState) => void;
  replayClock: (clock: { id: number; at: number; count: number; applied: number }) => void;
  replayAlert: (alert: { id: number; alert: AlertEvent }) => void;
}

export class Engine {
  private worker = new Worker(new URL('./worker/worker.ts', import.meta.url), { type: 'module' });
  private listeners: { [K in keyof EngineEvents]?: EngineEvents[K][] } = {};
  private waiting = new Map<number, (message: FromWorker) => void>();
  private nextId = 1;

  constructor(private store: Store) {
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.receive(data);
    store.on(['options'], ({ options }) => this.post({ type: 'options', options }));
    store.on(['filter'], ({ filter }) => this.post({ type: 'filter', filter }));
    store.on(['selected'], ({ selected }) =>
      this.post({ type: 'select', layer: selected?.layer ?? 'live', device: selected?.device ?? null }));
  }

  on<K extends keyof EngineEvents>(event: K, listener: EngineEvents[K]): void {
    const list: EngineEvents[K][] = this.listeners[event] ?? [];
    list.push(listener);
    this.listeners[event] = list as typeof this.listeners[K];
  }

  connect(alertsAfter: string | null): void {
    // The page may live under a prefix; Socket.IO's path is fixed by the contract.
    this.post({ type: 'connect', origin: location.origin, base: document.baseURI, alertsAfter });
  }

  draw(view: View): void {
    this.post({ type: 'draw', view });
  }

  wantRows(from: number, to: number): void {
    this.post({ type: 'rows', from, to });
  }

  /** Whether to be told how many vehicles are inside of each geofence. */
  countInside(on: boolean): void {
    this.post({ type: 'inside', on });
  }

  /** Asks where all vehicles are: `extent` tells, and by itself when it is known for the first time. */
  seekAll(): void {
    this.post({ type: 'whereabouts' });
  }

  rename(device: string, name: string, fleet: string): void {
    this.post({ type: 'renamed', device, name, fleet });
  }

  replay(id: number, action: ReplayAction): void {
    this.post({ type: 'replay', id, action });
  }

  async hit(x: number, y: number, radius: number): Promise<Hit> {
    const reply = await this.ask((id) => ({ type: 'hit', id, x, y, radius }));
    if (reply.type !== 'hit') throw new Error('the worker answered another question');
    return reply;
  }

  /** Device ids of the vehicles that pass the filter. */
  async listed(): Promise<string[]> {
    const reply = await this.ask((id) => ({ type: 'listed', id }));
    if (reply.type !== 'listed' || reply.devices === null) throw new Error(texts.unreachable);
    return reply.devices;
  }

  async locate(layer: LayerName, device: string): Promise<VehicleRow | null> {
    const reply = await this.ask((id) => ({ type: 'locate', id, layer, device }));
    return reply.type === 'located' ? reply.row : null;
  }

  private post(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  private ask(message: (id: number) => ToWorker): Promise<FromWorker> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.post(message(id));
    });
  }

  private emit<K extends keyof EngineEvents>(event: K, ...args: Parameters<EngineEvents[K]>): void {
    for (const listener of this.listeners[event] ?? []) (listener as (...a: Parameters<EngineEvents[K]>) => void)(...args);
  }

  private receive(message: FromWorker): void {
    switch (message.type) {
      case 'frame': return this.emit('frame', message);
      case 'wake': return this.emit('wake');
      case 'stats': return this.store.set({ stats: message.stats });
      case 'rows': return this.emit('rows', message);
      case 'hit':
      case 'listed':
      case 'located':
        this.waiting.get(message.id)?.(message);
        this.waiting.delete(message.id);
        return;
      case 'extent': return this.emit('extent', message.box);
      case 'alert': return this.emit('alert', message.alert);
      case 'notice': return this.emit('notice', message.notice);
      case 'catalog': return this.emit('catalog', message.change);
      case 'rejoined': return this.emit('rejoined');
      case 'inside': return this.emit('inside', message.inside);
      case 'replay-opened': return this.emit('replayOpened', message);
      case 'replay-state': return this.emit('replayState', message.state);
      case 'replay-clock': return this.emit('replayClock', message);
      case 'replay-alert': return this.emit('replayAlert', message);
    }
  }
}
