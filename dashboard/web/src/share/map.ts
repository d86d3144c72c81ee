/** The map of one shared vehicle: where it is, where it goes, which way it came. */

import * as L from 'leaflet';
import { addArchive } from '../map/archive';
import { EarthLayer } from '../map/earth';
import { MAX_ZOOM, addTiles } from '../map/tiles';
import { TRAIL_COLOUR, Trail } from '../map/trail';
import { texts } from '../texts';
import { isStill } from '../ui/dom';
import type { SharedPosition, SharedTrail, TileSource } from '../wire/types';
import type { Theme } from '../worker/protocol';

const ZOOM = 15;
const SIZE = 34;

export interface SharedMap {
  /** Where it is. `fresh`: taken since the link was made, so it belongs to the way too. */
  move: (position: SharedPosition, fresh: boolean) => void;
  came: (trail: SharedTrail) => void;
  /** Goes along with the vehicle again. */
  follow: () => void;
}

/** `strayed` is told when somebody looks elsewhere. */
export function sharedMap(container: HTMLElement, tiles: TileSource | null, theme: Theme, strayed: () => void): SharedMap {
  const map = L.map(container, { minZoom: 2, maxZoom: MAX_ZOOM, worldCopyJump: true, fadeAnimation: false }).setView([30, 10], 3);
  for (const [pane, z] of [['earth', '150'], ['trail', '440']] as const) {
    Object.assign(map.createPane(pane).style, { zIndex: z, pointerEvents: 'none' });
  }
  map.attributionControl.setPrefix(`<a href="https://leafletjs.com">Leaflet</a> · <a href="https://www.naturalearthdata.com">${texts.map.naturalEarth}</a>`);
  new EarthLayer(theme).addTo(map);
  const stage = { onTheme: (show: (now: Theme) => void) => show(theme), failing: () => undefined };
  // Without tiles there are coastlines.
  if (tiles?.archive) addArchive(map, tiles, stage).catch(() => undefined);
  else if (tiles) addTiles(map, tiles, stage);

  const picture = vehiclePicture();
  const marker = L.marker([0, 0], { icon: L.divIcon({ html: picture.element, className: 'shared-vehicle', iconSize: [SIZE, SIZE] }), keyboard: false, interactive: false });
  const trail = new Trail(map);
  let way: SharedPosition[] = [];
  let at: L.LatLngTuple | null = null;
  let follows = true;
  map.on('dragstart', () => {
    follows = false;
    strayed();
  });
  const show = (): void => trail.show(way.map((p) => ({ ...p, valid: true })), () => TRAIL_COLOUR);
  const last = (): number => way[way.length - 1]?.fix_time ?? Number.NEGATIVE_INFINITY;

  return {
    move: (position, fresh) => {
      const first = at === null;
      at = [position.lat, position.lon];
      marker.setLatLng(at);
      picture.turn(position);
      if (first) marker.addTo(map);
      if (first) map.setView(at, ZOOM, { animate: false });
      else if (follows) map.panTo(at, { animate: !isStill() });
      if (!fresh || position.fix_time <= last()) return;
      way.push(position);
      if (way.length === 2) show();
      else trail.reach(position.lat, position.lon);
    },
    came: ({ positions }) => {
      const until = positions[positions.length - 1]?.fix_time ?? Number.NEGATIVE_INFINITY;
      // History follows a moment behind what was seen live.
      way = [...positions, ...way.filter((p) => p.fix_time > until)];
      show();
    },
    follow: () => {
      follows = true;
      if (at) map.setView(at, Math.max(map.getZoom(), ZOOM));
    },
  };
}

/** An arrow that points where the vehicle goes, or a dot while nobody knows. */
function vehiclePicture(): { element: HTMLElement; turn: (position: SharedPosition) => void } {
  const element = document.createElement('div');
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '-17 -17 34 34');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.append(path);
  element.append(svg);
  return {
    element,
    turn: ({ course_deg }) => {
      path.setAttribute('d', course_deg === null ? 'M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0Z' : 'M0-14 10 11 0 6-10 11Z');
      svg.style.transform = `rotate(${course_deg ?? 0}deg)`;
    },
  };
}
