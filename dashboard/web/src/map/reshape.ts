/** Changing the shape of a geofence by hand: corners are dragged, added and taken away; a circle has its centre and its edge. */

import * as L from 'leaflet';
import { texts } from '../texts';
import { LEAST_RADIUS_M, LINE, place, type Drawn } from './draw';

type Ring = [lon: number, lat: number][];

/** More handles than this can't be told apart, and cost: then they appear after zooming in. */
const MOST_HANDLES = 300;

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

const latLng = ([lon, lat]: [number, number]): L.LatLng => L.latLng(lat, lon);

function reshapeCircle(map: L.Map, from: Drawn, changed: (shape: Drawn) => void): Reshaping {
  let centre = latLng(from.coordinates as [number, number]);
  let radius = from.radius_m ?? 0;
  const outline = L.circle(centre, { ...LINE, radius }).addTo(map);
  const east = (): L.LatLng => L.latLng(centre.lat, centre.toBounds(radius * 2).getEast());
  const middle = handle(centre, 'corner', texts.fences.moveCircle).addTo(map);
  const edge = handle(east(), 'corner', texts.fences.resizeCircle).addTo(map);
  middle.on('drag', () => {
    centre = middle.getLatLng();
    outline.setLatLng(centre);
    edge.setLatLng(east());
  });
  edge.on('drag', () => {
    radius = Math.max(LEAST_RADIUS_M, Math.round(centre.distanceTo(edge.getLatLng()) * 10) / 10);
    outline.setRadius(radius);
  });
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
  const letGo = (): void => {
    redraw();
    show();
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
    }).on('dragend', letGo).on('contextmenu', () => take(rings, ring, at)).on('keydown', (event) => {
      const { originalEvent } = event as L.LeafletKeyboardEvent;
      if (originalEvent.key !== 'Delete' && originalEvent.key !== 'Backspace') return;
      originalEvent.preventDefault();
      take(rings, ring, at);
    });
    return marker;
  };
  const middle = (ring: L.LatLng[], after: number): L.Marker => {
    const [a, b] = [ring[after], ring[(after + 1) % ring.length]];
    const marker = handle([(a.lat + b.lat) / 2, (a.lng + b.lng) / 2], 'middle', texts.fences.addCorner);
    marker.on('dragstart', () => ring.splice(after + 1, 0, marker.getLatLng())).on('drag', () => {
      ring[after + 1] = marker.getLatLng();
      redraw();
    }).on('dragend', letGo);
    return marker;
  };
  function show(): void {
    handles.clearLayers();
    const view = map.getBounds().pad(0.1);
    const visible = parts.flatMap((rings) => rings.flatMap((ring) => ring.map((at, i) => ({ rings, ring, at, i }))))
      .filter(({ at }) => view.contains(at));
    if (visible.length > MOST_HANDLES) return;
    for (const { rings, ring, i } of visible) {
      if (!open || i + 1 < ring.length) handles.addLayer(middle(ring, i));
      handles.addLayer(corner(rings, ring, i));
    }
  }
  map.on('moveend', show);
  show();
  return {
    cut: (hole) => {
      const ring = (hole.coordinates as Ring[])[0].slice(0, -1).map(latLng);
      const around = parts.find(([outer]) => L.latLngBounds(outer).contains(ring[0])) ?? parts[0];
      around.push(ring);
      letGo();
    },
    stop: () => {
      map.off('moveend', show);
      outline.remove();
      handles.remove();
    },
  };
}
