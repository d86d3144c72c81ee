/** Natural Earth's outlines as paths on the Mercator square, whole across ±180°. */

import { feature, mesh } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';
import type { Position } from 'geojson';
import { mercatorX, mercatorY } from '../worker/mercator';

/** A line or ring in Mercator units, longitudes running on beyond the square rather than jumping at ±180°. */
export interface Path {
  points: Float64Array;
  box: [x0: number, y0: number, x1: number, y1: number];
}
/** Outer ring and holes. */
type Area = Path[];

export interface Earth {
  areas: Area[];
  borders: Path[];
}

/** Where a tile of so many CSS px lies: a world is 256 px wide at zoom 0. */
export function tileBox({ x, y, z }: { x: number; y: number; z: number }, size: number): { box: Path['box']; tiles: number } {
  const tiles = (256 * 2 ** z) / size;
  return { box: [x / tiles, y / tiles, (x + 1) / tiles, (y + 1) / tiles], tiles };
}

/** Follows a ring across ±180° without jumps; a ring round a pole is closed along the square's edge. */
export function unwrap(ring: readonly Position[]): Path {
  const points: number[] = [];
  let previous = 0, turn = 0;
  ring.forEach(([lon, lat], i) => {
    if (i > 0 && lon - previous > 180) turn -= 1;
    if (i > 0 && previous - lon > 180) turn += 1;
    previous = lon;
    points.push(mercatorX(lon) + turn, mercatorY(lat));
  });
  const isRing = ring.length > 2 && ring[0][0] === ring[ring.length - 1][0] && ring[0][1] === ring[ring.length - 1][1];
  if (isRing && turn !== 0) {
    const pole = ring.reduce((sum, [, lat]) => sum + lat, 0) < 0 ? 1 : 0;
    points.push(points[points.length - 2], pole, points[0], pole);
  }
  const box: Path['box'] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i += 2) {
    box[0] = Math.min(box[0], points[i]);
    box[1] = Math.min(box[1], points[i + 1]);
    box[2] = Math.max(box[2], points[i]);
    box[3] = Math.max(box[3], points[i + 1]);
  }
  return { points: Float64Array.from(points), box };
}

export function earthOf(topology: Topology): Earth {
  const countries = topology.objects['countries'] as GeometryCollection;
  const land = feature(topology, topology.objects['land'] as GeometryCollection);
  const areas: Area[] = [];
  for (const { geometry } of 'features' in land ? land.features : [land]) {
    if (geometry.type === 'Polygon') areas.push(geometry.coordinates.map(unwrap));
    if (geometry.type === 'MultiPolygon') areas.push(...geometry.coordinates.map((polygon) => polygon.map(unwrap)));
  }
  return { areas, borders: mesh(topology, countries, (a, b) => a !== b).coordinates.map(unwrap) };
}
