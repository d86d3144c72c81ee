/** The question behind the heat map, and its answer. */

import { literal, moment } from '../sql/literal';

/** A map tile of the cells' zoom, and what was counted in it. */
export interface HeatCell { x: number; y: number; count: number }
export interface HeatCells { zoom: number; cells: HeatCell[]; most: number }

export interface HeatQuery {
  from: number;
  to: number;
  fleet: string | null;
  bounds: { south: number; north: number; west: number; east: number };
  /** Of the map. */
  zoom: number;
}

/** A cell is a tile of a zoom this much nearer: 8 px wide. */
const CELL_ZOOM = 5;
const DEEPEST = 22;

export const cellZoom = (zoom: number): number => Math.min(DEEPEST, Math.round(zoom) + CELL_ZOOM);

/** Only counts cross the wire, as many as fit on a screen, however long the range is. */
export function heatSql({ from, to, fleet, bounds, zoom }: HeatQuery): string {
  const lon = bounds.east - bounds.west >= 360 ? ''
    : bounds.west > bounds.east ? ` AND (lon >= ${bounds.west.toFixed(5)} OR lon <= ${bounds.east.toFixed(5)})`
      : ` AND lon BETWEEN ${bounds.west.toFixed(5)} AND ${bounds.east.toFixed(5)}`;
  return `SELECT tile(lat, lon, ${cellZoom(zoom)}) AS cell, count(*) AS n FROM positions
WHERE valid AND fix_time BETWEEN ${moment(from)} AND ${moment(to)}
AND lat BETWEEN ${bounds.south.toFixed(5)} AND ${bounds.north.toFixed(5)}${lon}${fleet === null ? '' : ` AND fleet = ${literal(fleet)}`}
GROUP BY cell`;
}

/** Rows of `z/x/y` and a count. What is no tile of that zoom is left out. */
export function heatCells(rows: readonly unknown[][], zoom: number): HeatCells {
  const cells: HeatCell[] = [];
  for (const [cell, n] of rows) {
    const [z, x, y] = String(cell).split('/').map(Number);
    const count = Number(n);
    if (z === zoom && Number.isInteger(x) && Number.isInteger(y) && count > 0) cells.push({ x, y, count });
  }
  return { zoom, cells, most: cells.reduce((most, c) => Math.max(most, c.count), 0) };
}

/** Share of the scale for a count: by its logarithm, as a depot has a thousand times the reports of a road. */
export const heatShare = (count: number, most: number): number => (most <= 1 ? 1 : 0.15 + (0.85 * Math.log(count)) / Math.log(most));
