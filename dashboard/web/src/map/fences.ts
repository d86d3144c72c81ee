/** Geofences on the map, and the geometry of their GeoJSON. */

import * as L from 'leaflet';
import type { Store } from '../state';
import type { GeofenceFeature } from '../wire/types';

type Ring = [lon: number, lat: number][];

/** For fences without a colour of their own. */
export const DEFAULT_COLOUR = '#0f766e';
export const FENCE_COLOURS = ['#0f766e', '#2563eb', '#7c3aed', '#be185d', '#c2410c', '#a16207', '#4d7c0f', '#475569'] as const;

const isColour = (text: string | null): text is string => text !== null && /^#[0-9a-f]{6}$/i.test(text);
export const colourOf = (fence: GeofenceFeature): string => (isColour(fence.properties.colour) ? fence.properties.colour : DEFAULT_COLOUR);

/** Every polygon of a fence; none for a circle; for a corridor its line, there and back. */
export function polygonsOf({ geometry }: GeofenceFeature): Ring[][] {
  if (geometry.type === 'Polygon') return [geometry.coordinates as Ring[]];
  if (geometry.type === 'MultiPolygon') return geometry.coordinates as Ring[][];
  if (geometry.type === 'LineString') return [[[...geometry.coordinates as Ring, ...(geometry.coordinates as Ring).toReversed()]]];
  return [];
}

export function circleOf({ geometry, properties }: GeofenceFeature): { lat: number; lon: number; radius: number } | null {
  if (geometry.type !== 'Point') return null;
  const [lon, lat] = geometry.coordinates as [number, number];
  return { lat, lon, radius: properties.radius_m ?? 0 };
}

export function boundsOf(fence: GeofenceFeature): L.LatLngBounds {
  const circle = circleOf(fence);
  if (circle) return L.latLng(circle.lat, circle.lon).toBounds(circle.radius * 2);
  return L.latLngBounds(polygonsOf(fence).flatMap((rings) => rings[0].map(([lon, lat]) => L.latLng(lat, lon))));
}

function insideRing(ring: Ring, lat: number, lon: number): boolean {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i], [xj, yj] = ring[j];
    if (yi > lat !== yj > lat && lon < ((xj - xi) * (lat - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** For clicks only; what counts is decided on the server. */
export function contains(fence: GeofenceFeature, at: L.LatLng): boolean {
  const circle = circleOf(fence);
  if (circle) return at.distanceTo([circle.lat, circle.lon]) <= circle.radius;
  const { lat, lng } = at.wrap();
  return polygonsOf(fence).some(([outer, ...holes]) => insideRing(outer, lat, lng) && !holes.some((hole) => insideRing(hole, lat, lng)));
}

export function showFences(map: L.Map, store: Store): { highlight: (id: string | null) => void } {
  const renderer = L.canvas({ pane: 'fences', padding: 0.3 });
  const shapes = new Map<string, { fence: GeofenceFeature; layer: L.Path }>();
  let highlighted: string | null = null;
  const styleOf = (fence: GeofenceFeature): L.PathOptions => {
    const strong = fence.properties.id === highlighted;
    return { color: colourOf(fence), weight: strong ? 3 : 1.5, fillOpacity: strong ? 0.25 : 0.1 };
  };
  store.on(['fences'], ({ fences }) => {
    for (const [id, { fence, layer }] of shapes) {
      if (fences.get(id) === fence) continue;
      layer.remove();
      shapes.delete(id);
    }
    for (const [id, fence] of fences) {
      if (shapes.has(id)) continue;
      const options: L.PathOptions = { renderer, pane: 'fences', interactive: false, ...styleOf(fence) };
      const circle = circleOf(fence);
      const layer = circle
        ? L.circle([circle.lat, circle.lon], { ...options, radius: circle.radius })
        : L.polygon(polygonsOf(fence).map((rings) => rings.map((ring) => ring.map(([lon, lat]) => L.latLng(lat, lon)))), options);
      layer.addTo(map);
      shapes.set(id, { fence, layer });
    }
  });
  return {
    highlight: (id) => {
      const before = highlighted;
      highlighted = id;
      for (const key of [before, id]) {
        const shape = key === null ? undefined : shapes.get(key);
        shape?.layer.setStyle(styleOf(shape.fence));
      }
    },
  };
}
