/** What the page and the map worker say to each other. */

import type { AlertEvent, CatalogMessage, InsideMessage, NoticeMessage, ReplayAction, ReplayState, SlotsMessage } from '../wire/types';

export type SlotRow = SlotsMessage['slots'][number];
export type ReplayOpen = Extract<ReplayAction, { action: 'open' }>;

export type Theme = 'light' | 'dark';
export type LayerName = 'live' | 'replay';
/** Count vehicles that can't be told apart: when they are dense, always, or never. */
export type Grouping = 'auto' | 'always' | 'never';
export type SortKey = 'name' | 'status' | 'speed' | 'age';

/** A view of the map in device pixels: pixel = (mercator - origin) * scale. */
export interface View {
  x0: number;
  y0: number;
  scale: number;
  w: number;
  h: number;
  zoom: number;
  /** Device pixels a CSS pixel. */
  dpr: number;
}

/** In the order of Look; for addresses. */
export const LOOK_NAMES = ['moving', 'idle', 'parked', 'late', 'offline', 'alarm'] as const;
export type Colouring = 'status' | 'speed';

export interface DrawOptions {
  theme: Theme;
  grouping: Grouping;
  labels: boolean;
  colouring: Colouring;
  live: boolean;
  /** How far back the trails of a replay go, ms; as its speed suggests if null. */
  trailMs?: number | null;
}

export interface Filter {
  text: string;
  fleet: string | null;
  /** Looks to show; all if empty. */
  looks: number[];
  sort: SortKey;
  /** Id of the geofence to be inside of. */
  fence: string | null;
  /** A condition such as `power_v<12`; none if empty. */
  attribute: string;
  /** Who passes fence and attribute, as far as the server has told; all if null. */
  devices: readonly string[] | null;
}

/** Lets everybody through. */
export const EVERYBODY: Filter = { text: '', fleet: null, looks: [], sort: 'name', fence: null, attribute: '', devices: null };

/** The parts of a filter that counted cells can't answer: they have numbers by status, of the fleets that the server was asked for. */
export function notOfCells({ text, fence, attribute }: Filter): ('text' | 'fence' | 'attribute')[] {
  const parts = { text: text.trim() !== '', fence: fence !== null, attribute: attribute.trim() !== '' };
  return (Object.keys(parts) as (keyof typeof parts)[]).filter((part) => parts[part]);
}

export type ToWorker =
  | { type: 'connect'; origin: string; /** Address of the page. */ base: string; alertsAfter: string | null }
  | { type: 'draw'; view: View }
  | { type: 'options'; options: DrawOptions }
  | { type: 'filter'; filter: Filter }
  | { type: 'rows'; from: number; to: number }
  | { type: 'select'; layer: LayerName; device: string | null }
  | { type: 'listed'; id: number }
  /** Asks for `extent`. */
  | { type: 'whereabouts' }
  /** Whether to be told how many vehicles are inside of each geofence. */
  | { type: 'inside'; on: boolean }
  | { type: 'locate'; id: number; layer: LayerName; device: string }
  | { type: 'hit'; id: number; x: number; y: number; radius: number }
  | { type: 'renamed'; device: string; name: string; fleet: string }
  | { type: 'replay'; id: number; action: ReplayAction };

export interface VehicleRow {
  slot: number;
  device: string;
  name: string;
  fleet: string;
  look: number;
  /** Null if the vehicle does not tell it. */
  speedKmh: number | null;
  courseDeg: number;
  fixTime: number;
  lat: number;
  lon: number;
}

export type LinkState = 'connecting' | 'online' | 'lost' | 'unauthorised';

export interface Stats {
  link: LinkState;
  /** Vehicles by Look, over all that pass no filter. */
  looks: number[];
  count: number;
  matching: number;
  shown: number;
  /** Cells that the server counts in the vehicles' place. */
  cells: number;
  applied: number;
  frames: number;
  badFrames: number;
  refused: number;
  /** Age of the newest live frame, ms; null before the first. */
  ageMs: number | null;
  /** The server's clock minus ours, ms. */
  clockOffset: number;
  /** 95th percentile of frame time base to frame taken over, of the last second, ms. */
  lagP95: number | null;
  /** 99th percentile of fix to position taken over, of the last second, ms, by the clocks of tracker and browser as they are. */
  ageP99: number | null;
  drawMs: number;
}

export interface Selected {
  layer: LayerName;
  row: VehicleRow;
  /** Reckoned Mercator position. */
  x: number;
  y: number;
}

export interface FrameReply {
  type: 'frame';
  /** Null: there was no memory for it. */
  picture: ImageBitmap | null;
  view: View;
  shown: number;
  selected: Selected | null;
  /** Nothing moves: the picture holds until the view changes or a `wake` comes. */
  still: boolean;
  /** Until then nobody has moved as far as can be seen, ms. */
  holdMs: number;
}

export type FromWorker =
  | FrameReply
  | { type: 'wake' }
  | { type: 'stats'; stats: Stats }
  | { type: 'rows'; from: number; total: number; rows: VehicleRow[] }
  | { type: 'hit'; id: number; hits: { layer: LayerName; row: VehicleRow }[]; /** Hit too, but too many to list. */ more: number; /** A counted cell was hit. */ cell: boolean }
  | { type: 'located'; id: number; row: VehicleRow | null }
  /** Device ids of all vehicles that pass the filter; null if the server could not be asked. */
  | { type: 'listed'; id: number; devices: string[] | null }
  | { type: 'extent'; box: [number, number, number, number] }
  | { type: 'alert'; alert: AlertEvent }
  | { type: 'notice'; notice: NoticeMessage }
  | { type: 'catalog'; change: CatalogMessage }
  /** The fleets are watched, and the connection was lost before. */
  | { type: 'rejoined' }
  | { type: 'inside'; inside: InsideMessage }
  | { type: 'replay-opened'; id: number; error: string | null; slots: SlotRow[]; from: number; to: number }
  | { type: 'replay-state'; state: ReplayState }
  | { type: 'replay-clock'; id: number; at: number; count: number; /** Positions taken over so far. */ applied: number }
  | { type: 'replay-alert'; id: number; alert: AlertEvent };
