/** Read-only figures for browser tests and measuring: `window.waystream`. */

import type { App } from './app';
import type { Stats } from './worker/protocol';

export interface TestHook {
  readonly stats: Stats | null;
  /** Frames put on the screen, and vehicles inside the view in the last. */
  readonly frames: number;
  readonly inView: number;
  readonly fences: number;
  readonly alerts: number;
  hasAlert: (id: string) => boolean;
  readonly replay: { from: number; to: number; at: number; count: number; applied: number; playing: boolean; done: boolean } | null;
  locate: (device: string) => Promise<{ lat: number; lon: number; fixTime: number } | null>;
  /** Where a place is on the page, CSS px. */
  pointOf: (lat: number, lon: number) => { x: number; y: number };
  setView: (lat: number, lon: number, zoom: number) => void;
}

declare global {
  interface Window { waystream?: TestHook }
}

export function exposeForTests({ store, engine, view }: App): void {
  window.waystream = {
    get stats() { return store.now.stats; },
    get frames() { return view.layer.frames; },
    get inView() { return view.layer.inView; },
    get fences() { return store.now.fences.size; },
    get alerts() { return store.now.alerts.length; },
    hasAlert: (id) => store.now.alerts.some(({ event_id }) => event_id === id),
    get replay() {
      const { replay } = store.now;
      return replay && { from: replay.from, to: replay.to, at: replay.at, count: replay.count, applied: replay.applied, playing: replay.playing, done: replay.done };
    },
    locate: async (device) => {
      const row = await engine.locate('live', device);
      return row && { lat: row.lat, lon: row.lon, fixTime: row.fixTime };
    },
    pointOf: (lat, lon) => {
      const { x, y } = view.map.latLngToContainerPoint([lat, lon]);
      const box = view.map.getContainer().getBoundingClientRect();
      return { x: box.left + x, y: box.top + y };
    },
    setView: (lat, lon, zoom) => view.map.setView([lat, lon], zoom, { animate: false }),
  };
}
