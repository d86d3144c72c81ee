/** Drawing a geofence by hand: a polygon or the line of a corridor corner by corner, a circle by dragging. */

import * as L from 'leaflet';
import { lengthText } from '../format';
import type { GeofenceFeature } from '../wire/types';
import { mapCross } from './cross';
import { DEFAULT_COLOUR } from './fences';

export type Drawn = GeofenceFeature['geometry'] & { radius_m?: number | undefined; width_m?: number | undefined };
export type DrawKind = 'polygon' | 'circle' | 'corridor';

/** Circles smaller than this are slips of the hand. */
export const LEAST_RADIUS_M = 5;
/** How wide a corridor is until somebody says otherwise: a road and the error of a receiver beside it. */
const CORRIDOR_WIDTH_M = 50;
/** A click this near to the first corner closes a polygon. */
export const CLOSE_PX = 12;
/** The second click of a double-click is the same point. */
export const SAME_PX = 4;
/** 1e-7 degree is what the server keeps. */
const round = (v: number): number => Math.round(v * 1e7) / 1e7;
export const place = (at: L.LatLng): [number, number] => [round(at.wrap().lng), round(at.lat)];

export interface Drawing {
  /** Takes back the last corner. */
  undo: () => void;
  finish: () => void;
  cancel: () => void;
  /** Keys tell from now on where: at the cross in the middle of the map. */
  aim: () => void;
  /** A point at the cross, and the same once more ends the shape; who has drawn by hand so far ends it at once. */
  enter: () => void;
}

/** On the screen. Nothing is near to no place. */
export const isNear = (map: L.Map, at: L.LatLng, other: L.LatLng | undefined, px: number): boolean =>
  other !== undefined && map.latLngToContainerPoint(other).distanceTo(map.latLngToContainerPoint(at)) < px;

export const LINE: L.PathOptions = { color: DEFAULT_COLOUR, weight: 2, dashArray: '5 4', fillOpacity: 0.12, interactive: false, pane: 'draw' };

/** `done(null)`: it was given up. `refuse`: the shape can't be finished yet. */
export function draw(map: L.Map, kind: DrawKind, done: (shape: Drawn | null) => void, refuse: () => void): Drawing {
  return kind === 'circle' ? drawCircle(map, done, refuse) : drawCorners(map, kind === 'polygon', done, refuse);
}

function drawCorners(map: L.Map, closed: boolean, done: (shape: Drawn | null) => void, refuse: () => void): Drawing {
  const corners: L.LatLng[] = [];
  const shape = (closed ? L.polygon([], LINE) : L.polyline([], LINE)).addTo(map);
  const dots = L.layerGroup().addTo(map);
  let pointer: L.LatLng | null = null;
  const redraw = (): void => {
    shape.setLatLngs(pointer ? [...corners, pointer] : corners);
    dots.clearLayers();
    for (const corner of corners) L.circleMarker(corner, { ...LINE, dashArray: '', radius: 4, fillOpacity: 1, fillColor: '#fff' }).addTo(dots);
  };
  const cross = mapCross(map);
  const add = (at: L.LatLng, same: () => void): void => {
    if (isNear(map, at, corners[corners.length - 1], SAME_PX)) return same();
    if (closed && corners.length > 2 && isNear(map, at, corners[0], CLOSE_PX)) return finish();
    corners.push(at);
    redraw();
  };
  const onClick = (event: L.LeafletMouseEvent): void => {
    cross.show(false);
    add(event.latlng, () => undefined);
  };
  const onPan = (): void => {
    if (!cross.shown) return;
    pointer = map.getCenter();
    redraw();
  };
  const onMove = (event: L.LeafletMouseEvent): void => {
    pointer = event.latlng;
    redraw();
  };
  const stop = (): void => {
    map.off('click', onClick).off('mousemove', onMove).off('dblclick', finish).off('move', onPan);
    cross.remove();
    map.doubleClickZoom.enable();
    map.getContainer().classList.remove('drawing');
    shape.remove();
    dots.remove();
  };
  function finish(): void {
    if (corners.length < (closed ? 3 : 2)) {
      refuse();
      return;
    }
    stop();
    const line = corners.map(place);
    done(closed ? { type: 'Polygon', coordinates: [[...line, line[0]]] } : { type: 'LineString', coordinates: line, width_m: CORRIDOR_WIDTH_M });
  }
  map.doubleClickZoom.disable();
  map.getContainer().classList.add('drawing');
  map.on('click', onClick).on('mousemove', onMove).on('dblclick', finish).on('move', onPan);
  return {
    undo: () => {
      corners.pop();
      // A finger points nowhere: the line would still end where it was last.
      if (!cross.shown) pointer = null;
      redraw();
    },
    finish,
    cancel: () => {
      stop();
      done(null);
    },
    aim: () => cross.show(true),
    enter: () => {
      if (!cross.shown && corners.length > 0) return finish();
      cross.show(true);
      add(map.getCenter(), finish);
    },
  };
}

function drawCircle(map: L.Map, done: (shape: Drawn | null) => void, refuse: () => void): Drawing {
  const container = map.getContainer();
  const cross = mapCross(map);
  let circle: L.Circle | null = null;
  let label: L.Tooltip | null = null;
  const at = (event: PointerEvent): L.LatLng => map.mouseEventToLatLng(event);
  const forget = (): void => {
    circle?.remove();
    circle = null;
    label?.remove();
  };
  const onDown = (event: PointerEvent): void => {
    if (event.button !== 0 || (event.target instanceof Element && event.target.closest('.map-overlay'))) return;
    // Two fingers zoom.
    if (!event.isPrimary) return forget();
    cross.show(false);
    begin(at(event));
    container.setPointerCapture(event.pointerId);
  };
  const begin = (centre: L.LatLng): void => {
    forget();
    circle = L.circle(centre, { ...LINE, radius: 0 }).addTo(map);
    label = L.tooltip({ permanent: true, direction: 'right', className: 'draw-label' }).setLatLng(centre);
  };
  const reach = (edge: L.LatLng): void => {
    if (!circle) return;
    circle.setRadius(circle.getLatLng().distanceTo(edge));
    label?.setLatLng(edge).setContent(lengthText(circle.getRadius())).addTo(map);
  };
  const onMove = (event: PointerEvent): void => {
    if (container.hasPointerCapture(event.pointerId)) reach(at(event));
  };
  const onPan = (): void => {
    if (cross.shown) reach(map.getCenter());
  };
  const stop = (): void => {
    container.removeEventListener('pointerdown', onDown);
    container.removeEventListener('pointermove', onMove);
    container.removeEventListener('pointerup', finish);
    container.removeEventListener('pointercancel', forget);
    container.classList.remove('drawing');
    map.off('move', onPan);
    cross.remove();
    map.dragging.enable();
    forget();
  };
  function finish(): void {
    if (!circle) return;
    if (circle.getRadius() < LEAST_RADIUS_M) {
      forget();
      refuse();
      return;
    }
    const shape: Drawn = { type: 'Point', coordinates: place(circle.getLatLng()), radius_m: Math.round(circle.getRadius() * 10) / 10 };
    stop();
    done(shape);
  }
  map.dragging.disable();
  map.on('move', onPan);
  container.classList.add('drawing');
  container.addEventListener('pointerdown', onDown);
  container.addEventListener('pointermove', onMove);
  container.addEventListener('pointerup', finish);
  // The system took the finger for a gesture of its own.
  container.addEventListener('pointercancel', forget);
  return {
    undo: () => undefined,
    finish,
    cancel: () => {
      stop();
      done(null);
    },
    aim: () => cross.show(true),
    enter: () => {
      if (circle && cross.shown) return finish();
      cross.show(true);
      begin(map.getCenter());
    },
  };
}
