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

/** Where points of a drawing go: a canvas, mostly. */
export type Pen = Pick<CanvasPath, 'moveTo' | 'lineTo'>;
/** A square of Mercator units beginning at x0, y0 that is drawn so large. */
export interface Square { x0: number; y0: number; scale: number; edge: number }
/** Lines end in round caps, and are some pixels wide. */
const BEYOND_PX = 8;

/** Draws of a path what shows in a square: a stretch that stays on one side of it becomes one line there, however many points it has. Fills stay as they are. */
export function trace(pen: Pen, { points }: Path, shift: number, { x0, y0, scale, edge }: Square): void {
  const from = -BEYOND_PX, to = edge + BEYOND_PX;
  let begun = false;
  /** On which sides the last point drawn lies, and the one that waits to be. */
  let side = 0, waitingSide = 0;
  let waitingX = 0, waitingY = 0;
  for (let i = 0; i < points.length; i += 2) {
    const x = (points[i] + shift - x0) * scale, y = (points[i + 1] - y0) * scale;
    if (!begun) {
      pen.moveTo(x, y);
    } else if (i < points.length - 2 && Math.abs(x - waitingX) + Math.abs(y - waitingY) < 0.5) {
      // Points closer than half a pixel add nothing but time.
      continue;
    }
    const its = (x < from ? 1 : 0) | (x > to ? 2 : 0) | (y < from ? 4 : 0) | (y > to ? 8 : 0);
    if (!begun) {
      begun = true;
      side = its;
    } else if ((side & waitingSide & its) === 0) {
      pen.lineTo(waitingX, waitingY);
      side = waitingSide;
    }
    [waitingX, waitingY, waitingSide] = [x, y, its];
  }
  if (begun) pen.lineTo(waitingX, waitingY);
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
