/** Changing the shape of a geofence by hand or by keys: corners are moved, added and taken away; a circle has its centre and its edge. */

import * as L from 'leaflet';
import { texts } from '../texts';
import { LEAST_RADIUS_M, LINE, place, type Drawn } from './draw';

type Ring = [lon: number, lat: number][];

/** More handles than this can't be told apart, and cost: then they appear after zooming in. */
const MOST_HANDLES = 300;
/** How far an arrow key moves a handle, CSS px; with Shift. */
const KEY_PX = 10;
const FINE_KEY_PX = 1;
const ARROWS = new Map([['ArrowLeft', L.point(-1, 0)], ['ArrowRight', L.point(1, 0)], ['ArrowUp', L.point(0, -1)], ['ArrowDown', L.point(0, 1)]]);

export interface Reshaping {
  /** Cuts this polygon out of the one that holds its first corner. */
  cut: (hole: Drawn) => void;
  stop: () => void;
}

/** `changed` gets every shape that was let go of. */
export function reshape(map: L.Map, from: Drawn, changed: (shape: Drawn) => void): Reshaping {
  return from.type === 'Point' ? reshapeCircle(map, from, changed) : reshapeRings(map, from, changed);
}

function handle(at: L.LatLngExpression, kind: 'corner' | 'middle', title: string): L.Marker {
  const size = kind === 'corner' ? 14 : 10;
  return L.marker(at, { draggable: true, title, alt: title, pane: 'draw', icon: L.divIcon({ className: `fence-handle ${kind}`, iconSize: [size, size] }) });
}

/** Keys of a handle that has the focus: `act` says whether it was one for it. The map and the page don't get those. */
function onKey(marker: L.Marker, act: (event: KeyboardEvent) => boolean): void {
  marker.on('keydown', (event) => {
    const { originalEvent } = event as L.LeafletKeyboardEvent;
    if (!originalEvent.ctrlKey && !originalEvent.metaKey && !originalEvent.altKey && act(originalEvent)) originalEvent.preventDefault();
  });
}

/** Where an arrow key moves what is at a place; null: it is none. */
function moved(map: L.Map, from: L.LatLng, { key, shiftKey }: KeyboardEvent): L.LatLng | null {
  const way = ARROWS.get(key);
  return way ? map.unproject(map.project(from).add(way.multiplyBy(shiftKey ? FINE_KEY_PX : KEY_PX))) : null;
}

const latLng = ([lon, lat]: [number, number]): L.LatLng => L.latLng(lat, lon);

function reshapeCircle(map: L.Map, from: Drawn, changed: (shape: Drawn) => void): Reshaping {
  let centre = latLng(from.coordinates as [number, number]);
  let radius = from.radius_m ?? 0;
  const outline = L.circle(centre, { ...LINE, radius }).addTo(map);
  const east = (): L.LatLng => L.latLng(centre.lat, centre.toBounds(radius * 2).getEast());
  const middle = handle(centre, 'corner', texts.fences.moveCircle).addTo(map);
  const edge = handle(east(), 'corner', texts.fences.resizeCircle).addTo(map);
  const shift = (): void => {
    centre = middle.getLatLng();
    outline.setLatLng(centre);
    edge.setLatLng(east());
  };
  const resize = (): void => {
    radius = Math.max(LEAST_RADIUS_M, Math.round(centre.distanceTo(edge.getLatLng()) * 10) / 10);
    outline.setRadius(radius);
  };
  for (const [marker, follow] of [[middle, shift], [edge, resize]] as const) {
    marker.on('drag', follow);
    onKey(marker, (event) => {
      const to = moved(map, marker.getLatLng(), event);
      if (!to) return false;
      marker.setLatLng(to);
      follow();
      letGo();
      return true;
    });
  }
  const letGo = (): void => {
    edge.setLatLng(east());
    changed({ type: 'Point', coordinates: place(centre), radius_m: radius });
  };
  middle.on('dragend', letGo);
  edge.on('dragend', letGo);
  return {
    cut: () => undefined,
    stop: () => {
      for (const layer of [outline, middle, edge]) layer.remove();
    },
  };
}

/** A corner of a ring, or the middle between it and the next. */
interface Spot { ring: L.LatLng[]; at: number; kind: 'corner' | 'middle' }
interface Handle extends Spot { marker: L.Marker }

/** Polygons, and the line of a corridor: that is one ring which is not closed. */
function reshapeRings(map: L.Map, from: Drawn, changed: (shape: Drawn) => void): Reshaping {
  const { type, coordinates } = from;
  const open = type === 'LineString';
  // A ring is kept without its repeated first corner.
  const polygon = (rings: Ring[]): L.LatLng[][] => rings.map((ring) => ring.slice(0, open ? undefined : -1).map(latLng));
  const parts = type === 'MultiPolygon' ? (coordinates as Ring[][]).map(polygon) : [polygon(open ? [coordinates as Ring] : coordinates as Ring[])];
  const outline = (open ? L.polyline(parts[0], LINE) : L.polygon(parts, LINE)).addTo(map);
  const handles = L.layerGroup().addTo(map);
  const fewest = open ? 2 : 3;

  const shape = (): Drawn => {
    if (open) return { type, coordinates: parts[0][0].map(place) };
    const closed = parts.map((rings) => rings.map((ring) => [...ring, ring[0]].map(place)));
    return type === 'MultiPolygon' ? { type, coordinates: closed } : { type: 'Polygon', coordinates: closed[0] };
  };
  const redraw = (): void => {
    outline.setLatLngs(open ? parts[0] : parts);
  };
  /** The handles that there are, to give the focus to the one that takes the place of another. */
  let shown: Handle[] = [];
  const letGo = (focus = focused()): void => {
    redraw();
    show(focus);
    changed(shape());
  };
  const take = (rings: L.LatLng[][], ring: L.LatLng[], at: number): void => {
    if (ring.length > fewest) ring.splice(at, 1);
    else if (rings.indexOf(ring) > 0) rings.splice(rings.indexOf(ring), 1);
    else return;
    letGo();
  };
  const corner = (rings: L.LatLng[][], ring: L.LatLng[], at: number): L.Marker => {
    const marker = handle(ring[at], 'corner', texts.fences.moveCorner);
    marker.on('drag', () => {
      ring[at] = marker.getLatLng();
      redraw();
    }).on('dragend', () => letGo()).on('contextmenu', () => take(rings, ring, at));
    onKey(marker, (event) => {
      const to = moved(map, ring[at], event);
      if (to) {
        ring[at] = to;
        letGo();
      } else if (event.key === 'Delete' || event.key === 'Backspace') take(rings, ring, at);
      else return false;
      return true;
    });
    return marker;
  };
  const middle = (ring: L.LatLng[], after: number): L.Marker => {
    const [a, b] = [ring[after], ring[(after + 1) % ring.length]];
    const marker = handle([(a.lat + b.lat) / 2, (a.lng + b.lng) / 2], 'middle', texts.fences.addCorner);
    marker.on('dragstart', () => ring.splice(after + 1, 0, marker.getLatLng())).on('drag', () => {
      ring[after + 1] = marker.getLatLng();
      redraw();
    }).on('dragend', () => letGo());
    onKey(marker, ({ key }) => {
      if (key !== 'Enter' && key !== ' ') return false;
      ring.splice(after + 1, 0, marker.getLatLng());
      letGo({ ring, at: after + 1, kind: 'corner' });
      return true;
    });
    return marker;
  };
  function focused(): Spot | undefined {
    return shown.find(({ marker }) => marker.getElement() === document.activeElement);
  }
  function show(focus = focused()): void {
    handles.clearLayers();
    shown = [];
    const view = map.getBounds().pad(0.1);
    const visible = parts.flatMap((rings) => rings.flatMap((ring) => ring.map((at, i) => ({ rings, ring, at, i }))))
      .filter(({ at }) => view.contains(at));
    if (visible.length > MOST_HANDLES) return;
    for (const { rings, ring, i } of visible) {
      if (!open || i + 1 < ring.length) shown.push({ ring, at: i, kind: 'middle', marker: middle(ring, i) });
      shown.push({ ring, at: i, kind: 'corner', marker: corner(rings, ring, i) });
    }
    for (const { marker } of shown) handles.addLayer(marker);
    if (!focus) return;
    const same = shown.find(({ ring, at, kind }) => ring === focus.ring && at === focus.at && kind === focus.kind);
    (same ?? shown[0])?.marker.getElement()?.focus({ preventScroll: true });
  }
  const onMoveEnd = (): void => show();
  map.on('moveend', onMoveEnd);
  show();
  return {
    cut: (hole) => {
      const ring = (hole.coordinates as Ring[])[0].slice(0, -1).map(latLng);
      const around = parts.find(([outer]) => L.latLngBounds(outer).contains(ring[0])) ?? parts[0];
      around.push(ring);
      letGo();
    },
    stop: () => {
      map.off('moveend', onMoveEnd);
      outline.remove();
      handles.remove();
    },
  };
}
