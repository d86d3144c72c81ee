/** What panels share: the store, the worker, the map, and the actions that several of them offer. */

import type * as L from 'leaflet';
import type { Engine } from './engine';
import type { MapView } from './map/map';
import type { PanelName, Store } from './state';
import type { LayerName } from './worker/protocol';

export interface App {
  store: Store;
  engine: Engine;
  /** Set once the map exists, before any panel is made. */
  view: MapView;
  select: (layer: LayerName, device: string | null) => void;
  /** Selects and flies there. */
  goTo: (layer: LayerName, device: string) => Promise<void>;
  openPanel: (panel: PanelName | null) => void;
  /** Replays one vehicle, beginning at a moment of the range or at its start. */
  replay: (device: string, range: { from: number; to: number }, at?: number) => void;
  clickGround: (at: L.LatLng) => void;
  highlightFence: (id: string | null) => void;
  cycleGrouping: () => void;
  cycleColouring: () => void;
  toggleTheme: () => void;
  /** Answers the way to take it away. */
  toast: (content: HTMLElement | string, options?: { kind?: 'info' | 'error' | 'alert'; onclick?: () => void }) => () => void;
  /** Tells of an error that has no better place. */
  report: (error: unknown) => void;
}

/** A panel: its element, and what to do when it is shown. */
export interface Panel {
  element: HTMLElement;
  shown?: () => void;
}
