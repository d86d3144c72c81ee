/** The page's state in one place; panels and layers subscribe to the parts they show. */

import type { Acknowledged } from './acknowledged';
import type { AskedHeat, AskedReplay } from './address';
import type { DrawKind } from './map/draw';
import type { JourneyFilter } from './sql/journeys';
import type { AlertEvent, FleetInfo, GeofenceFeature, PageConfig, SessionInfo } from './wire/types';
import type { DrawOptions, Filter, LayerName, Selected, Stats } from './worker/protocol';

export const PANEL_NAMES = ['vehicles', 'fences', 'alerts', 'replay', 'trips', 'sql'] as const;
export type PanelName = (typeof PANEL_NAMES)[number];

export type SqlView = 'table' | 'chart' | 'map';
export interface AlertFilter {
  /** A kind, or one of the choices beside the kinds. */
  kind: string;
  text: string;
  fleet: string | null;
  device: string | null;
  /** Acknowledged or not; empty: either. */
  status: '' | 'open' | 'acknowledged';
  /** Of the fix. */
  from: number | null;
  to: number | null;
}

export interface ReplaySession {
  id: number;
  /** Of whom it was asked for. */
  asked: Pick<AskedReplay, 'devices' | 'fleet'>;
  title: string;
  /** One device if it is the only one, for events and export. */
  device: string | null;
  from: number;
  to: number;
  at: number;
  playing: boolean;
  speed: number;
  done: boolean;
  /** False until the server has answered. */
  ready: boolean;
  /** Vehicles on the map. */
  count: number;
  /** Positions taken over so far. */
  applied: number;
  /** Whom it shows, once the server has told. */
  devices: readonly string[];
  /** Nobody was left out. */
  everybody: boolean;
  alerts: AlertEvent[];
  /** There are more alerts than those. */
  alertsCut: boolean;
  error: string | null;
}

export interface State {
  config: PageConfig;
  session: SessionInfo;
  panel: PanelName | null;
  stats: Stats | null;
  fleets: FleetInfo[];
  fences: ReadonlyMap<string, GeofenceFeature>;
  /** The geofence that is being edited, as it will be; its id is empty if it is new. */
  preview: GeofenceFeature | null;
  /** Groups of geofences that the map leaves out. */
  hiddenGroups: ReadonlySet<string>;
  /** Newest first. */
  alerts: readonly AlertEvent[];
  unseenAlerts: number;
  toasts: boolean;
  /** Alerts make a sound. */
  sound: boolean;
  /** Alerts that somebody of the organisation has seen to. */
  acknowledged: Acknowledged;
  /** The SQL that was run last. */
  query: string | null;
  sqlView: SqlView;
  alertFilter: AlertFilter;
  journeyFilter: JourneyFilter;
  /** What the heat map counts; null while it is not shown. */
  heat: AskedHeat | null;
  filter: Filter;
  options: DrawOptions;
  selected: { layer: LayerName; device: string } | null;
  /** The selected vehicle as of the last quarter second. */
  vehicle: Selected | null;
  follow: boolean;
  replay: ReplaySession | null;
  drawing: DrawKind | null;
  measuring: boolean;
  tilesFailing: boolean;
}

/** The time as the server has it, ms. */
export const serverNow = ({ stats }: Pick<State, 'stats'>): number => Math.round(Date.now() + (stats?.clockOffset ?? 0));

type Listener = (state: Readonly<State>) => void;

export class Store {
  private listeners: { keys: ReadonlySet<keyof State>; listener: Listener }[] = [];

  constructor(private state: State) {}

  get now(): Readonly<State> {
    return this.state;
  }

  set(patch: Partial<State>): void {
    const changed = (Object.keys(patch) as (keyof State)[]).filter((k) => this.state[k] !== patch[k]);
    if (changed.length === 0) return;
    this.state = { ...this.state, ...patch };
    for (const { keys, listener } of [...this.listeners]) {
      if (changed.some((k) => keys.has(k))) listener(this.state);
    }
  }

  /** Calls at once and then after each change of one of the keys. Returns the way to stop it. */
  on(keys: (keyof State)[], listener: Listener): () => void {
    const entry = { keys: new Set(keys), listener };
    this.listeners.push(entry);
    listener(this.state);
    return () => {
      this.listeners = this.listeners.filter((l) => l !== entry);
    };
  }
}
