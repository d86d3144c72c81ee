/** Geofences on the map, and the geometry of their GeoJSON. */

import * as L from 'leaflet';
import { isShown } from '../panels/fence_groups';
import type { Store } from '../state';
import type { GeofenceFeature } from '../wire/types';
import { stillCanvas } from './canvas';

type Ring = [lon: number, lat: number][];

/** Of latitude, on a sphere. */
const METRES_PER_DEGREE = 111_195;

/** For fences without a colour of their own. */
export const DEFAULT_COLOUR = '#0f766e';
export const FENCE_COLOURS = ['#0f766e', '#2563eb', '#7c3aed', '#be185d', '#c2410c', '#a16207', '#4d7c0f', '#475569'] as const;

const isColour = (text: string | null): text is string => text !== null && /^#[0-9a-f]{6}$/i.test(text);
export const colourOf = (fence: GeofenceFeature): string => (isColour(fence.properties.colour) ? fence.properties.colour : DEFAULT_COLOUR);

/** Every polygon of a fence; none for a circle or a corridor. */
export function polygonsOf({ geometry }: GeofenceFeature): Ring[][] {
  if (geometry.type === 'Polygon') return [geometry.coordinates as Ring[]];
  if (geometry.type === 'MultiPolygon') return geometry.coordinates as Ring[][];
  return [];
}

export function corridorOf({ geometry, properties }: GeofenceFeature): { line: L.LatLng[]; width: number } | null {
  if (geometry.type !== 'LineString') return null;
  return { line: latLngs(geometry.coordinates as Ring), width: properties.width_m ?? 0 };
}

const latLngs = (ring: Ring): L.LatLng[] => ring.map(([lon, lat]) => L.latLng(lat, lon));

export function circleOf({ geometry, properties }: GeofenceFeature): { lat: number; lon: number; radius: number } | null {
  if (geometry.type !== 'Point') return null;
  const [lon, lat] = geometry.coordinates as [number, number];
  return { lat, lon, radius: properties.radius_m ?? 0 };
}

export function boundsOf(fence: GeofenceFeature): L.LatLngBounds {
  const circle = circleOf(fence);
  if (circle) return L.latLng(circle.lat, circle.lon).toBounds(circle.radius * 2);
  const corridor = corridorOf(fence);
  return L.latLngBounds(corridor ? corridor.line : polygonsOf(fence).flatMap((rings) => latLngs(rings[0])));
}

function insideRing(ring: Ring, lat: number, lon: number): boolean {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i], [xj, yj] = ring[j];
    if (yi > lat !== yj > lat && lon < ((xj - xi) * (lat - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** Metres from a place to a stretch of a line, on a plane that touches the earth there. */
function distanceToLine(a: L.LatLng, b: L.LatLng, at: L.LatLng): number {
  const scale = Math.cos((at.lat * Math.PI) / 180);
  const flat = ({ lat, lng }: L.LatLng): L.Point => L.point((lng - at.lng) * scale, lat - at.lat).multiplyBy(METRES_PER_DEGREE);
  return L.LineUtil.pointToSegmentDistance(L.point(0, 0), flat(a), flat(b));
}

/** For clicks only; what counts is decided on the server. */
export function contains(fence: GeofenceFeature, at: L.LatLng): boolean {
  const circle = circleOf(fence);
  if (circle) return at.distanceTo([circle.lat, circle.lon]) <= circle.radius;
  const { lat, lng } = at.wrap();
  const corridor = corridorOf(fence);
  if (corridor) return corridor.line.some((a, i) => i > 0 && distanceToLine(corridor.line[i - 1], a, L.latLng(lat, lng)) <= corridor.width / 2);
  return polygonsOf(fence).some(([outer, ...holes]) => insideRing(outer, lat, lng) && !holes.some((hole) => insideRing(hole, lat, lng)));
}

/** A line that stays as wide on the ground as it is, whatever the zoom. */
class Corridor extends L.Polyline {
  constructor(line: L.LatLng[], private width: number, options: L.PolylineOptions) {
    super(line, { ...options, fill: false, lineCap: 'round', lineJoin: 'round' });
  }

  override getEvents(): Record<string, L.LeafletEventHandlerFn> {
    return { ...super.getEvents?.(), zoomend: () => this.widen() };
  }

  override onAdd(map: L.Map): this {
    super.onAdd(map);
    this.widen();
    return this;
  }

  private widen(): void {
    const middle = this.getBounds().getCenter();
    const metresPerPx = (METRES_PER_DEGREE * 360 * Math.cos((middle.lat * Math.PI) / 180)) / (256 * 2 ** this._map.getZoom());
    this.setStyle({ weight: Math.max(3, this.width / metresPerPx) });
  }
}

export function showFences(map: L.Map, store: Store): { highlight: (id: string | null) => void } {
  const renderer = stillCanvas({ pane: 'fences', padding: 0.3 });
  const shapes = new Map<string, { fence: GeofenceFeature; layer: L.Path }>();
  let highlighted: string | null = null;
  const styleOf = (fence: GeofenceFeature): L.PathOptions => {
    const strong = fence.properties.id === highlighted;
    // The stroke of a corridor is its inside.
    if (fence.geometry.type === 'LineString') return { color: colourOf(fence), opacity: strong ? 0.5 : 0.3 };
    return { color: colourOf(fence), weight: strong ? 3 : 1.5, fillOpacity: strong ? 0.25 : 0.1 };
  };
  const layerOf = (fence: GeofenceFeature): L.Path => {
    const options: L.PathOptions = { renderer, pane: 'fences', interactive: false, ...styleOf(fence) };
    const circle = circleOf(fence);
    if (circle) return L.circle([circle.lat, circle.lon], { ...options, radius: circle.radius });
    const corridor = corridorOf(fence);
    if (corridor) return new Corridor(corridor.line, corridor.width, options);
    return L.polygon(polygonsOf(fence).map((rings) => rings.map(latLngs)), options);
  };
  store.on(['fences', 'preview', 'hiddenGroups'], ({ fences: told, preview, hiddenGroups }) => {
    const fences = new Map([...told].filter(([, fence]) => isShown(fence, hiddenGroups)));
    // Whatever its group: who edits it sees it.
    if (preview) fences.set(preview.properties.id, preview);
    for (const [id, { fence, layer }] of shapes) {
      if (fences.get(id) === fence) continue;
      layer.remove();
      shapes.delete(id);
    }
    for (const [id, fence] of fences) {
      if (shapes.has(id)) continue;
      const layer = layerOf(fence);
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
