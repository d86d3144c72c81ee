/** The way that the selected vehicle came: older parts fade. */

import * as L from 'leaflet';
import type { PositionInfo } from '../wire/types';
import { stillCanvas } from './canvas';

/** As much of a position as a way needs. */
type Fix = Pick<PositionInfo, 'fix_time' | 'lat' | 'lon' | 'valid'>;
/** Of a part of the way that ends there. */
export type ColourOf<T> = (fix: T) => string;

export const TRAIL_COLOUR = '#1476cc';
/** As replayed vehicles have it. */
export const PAST_COLOUR = '#7a2eb8';
const STEPS = 10;
/** Nobody knows where a vehicle was that long without a report: no line. */
const GAP_MS = 10 * 60_000;

export class Trail {
  private group = L.layerGroup();
  private renderer = stillCanvas({ pane: 'trail', padding: 0.3 });

  constructor(private map: L.Map) {
    this.group.addTo(map);
  }

  private tip: L.Polyline | null = null;

  clear(): void {
    this.group.clearLayers();
    this.tip = null;
  }

  /** Where the vehicle is now: the trail reaches it between two fetches. */
  reach(lat: number, lon: number): void {
    const { tip, map } = this;
    const last = (tip?.getLatLngs() as L.LatLng[] | undefined)?.at(-1);
    // Who stands still is asked after as often as who moves, and the whole trail is drawn for it.
    if (!tip || !last || map.latLngToLayerPoint(last).distanceTo(map.latLngToLayerPoint([lat, lon])) < 1) return;
    tip.addLatLng([lat, lon]);
  }

  show<T extends Fix>(positions: readonly T[], colourOf: ColourOf<T>): void {
    this.clear();
    const valid = positions.filter((p) => p.valid);
    if (valid.length < 2) return;
    const first = valid[0].fix_time;
    const span = Math.max(1, valid[valid.length - 1].fix_time - first);
    let step = -1;
    let colour = '';
    let line: [number, number][] = [];
    const flush = (): void => {
      if (line.length > 1) {
        L.polyline(line, {
          renderer: this.renderer, pane: 'trail', interactive: false, color: colour, weight: 3, opacity: 0.2 + (0.7 * (step + 1)) / STEPS, lineCap: 'round',
        }).addTo(this.group);
      }
    };
    valid.forEach((p, i) => {
      const now = Math.min(STEPS - 1, Math.floor(((p.fix_time - first) / span) * STEPS));
      const gap = i > 0 && p.fix_time - valid[i - 1].fix_time > GAP_MS;
      const itsColour = colourOf(p);
      if (now !== step || gap || itsColour !== colour) {
        const last = line[line.length - 1];
        flush();
        line = last && !gap ? [last] : [];
        step = now;
        colour = itsColour;
      }
      line.push([p.lat, p.lon]);
    });
    flush();
    const { lat, lon } = valid[valid.length - 1];
    this.tip = L.polyline([[lat, lon]], {
      renderer: this.renderer, pane: 'trail', interactive: false, color: colour, weight: 3, opacity: 0.9, lineCap: 'round',
    }).addTo(this.group);
  }
}
