/** What can be made of an answer besides a table: lines over time, places on the map. */

import type { SqlAnswer, SqlColumn } from '../wire/types';

const isNumeric = ({ type }: SqlColumn): boolean => /int|float|double|decimal|real/i.test(type) && !/interval/i.test(type);
const isTime = ({ type }: SqlColumn): boolean => /^(timestamp|date)/i.test(type);
const isText = ({ type }: SqlColumn): boolean => /utf8|string/i.test(type);
export const numericColumns = (columns: readonly SqlColumn[]): boolean[] => columns.map(isNumeric);

/** A value as a table shows it. */
export function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

/** More lines than this can't be told apart. */
const LINES_AT_MOST = 12;

export interface ChartData {
  /** Seconds since the Unix epoch, ascending, each once. */
  x: number[];
  lines: { label: string; values: (number | null)[] }[];
}

const timeOf = (value: unknown): number => Date.parse(/[Z+]|-\d\d:\d\d$/.test(String(value)) ? String(value) : `${String(value)}Z`) / 1000;

/** The first time is x, every number a line; one number by a text of few values is a line for each. Null if there is no time or no number. */
export function chartOf({ columns, rows }: Pick<SqlAnswer, 'columns' | 'rows'>): ChartData | null {
  const at = columns.findIndex(isTime);
  const places = placesOf({ columns, rows });
  const numbers = columns.flatMap((c, i) => (isNumeric(c) ? [i] : []));
  // Where something was is for the map.
  const figures = numbers.filter((i) => i !== places?.lat && i !== places?.lon);
  const ys = figures.length > 0 ? figures : numbers;
  if (at < 0 || ys.length === 0 || rows.length === 0) return null;
  const group = columns.findIndex(isText);
  const groups = group < 0 ? [] : [...new Set(rows.map((row) => String(row[group])))];
  const grouped = groups.length > 1 && groups.length * ys.length <= LINES_AT_MOST;
  const x = [...new Set(rows.map((row) => timeOf(row[at])).filter((t) => Number.isFinite(t)))].sort((a, b) => a - b);
  const index = new Map(x.map((t, i) => [t, i]));
  const lines = (grouped ? groups : ['']).flatMap((name) => ys.slice(0, LINES_AT_MOST).map((y) => {
    const values = new Array<number | null>(x.length).fill(null);
    for (const row of rows) {
      const i = index.get(timeOf(row[at]));
      const value = row[y];
      if (i !== undefined && value !== null && (!grouped || String(row[group]) === name)) values[i] = Number(value);
    }
    return { label: grouped ? (ys.length > 1 ? `${name} ${columns[y].name}` : name) : columns[y].name, values };
  }));
  return { x, lines };
}

const LATITUDE = /^(.*_)?(lat|latitude)$/i;

/** Columns that say where a row is: `lat` and `lon`, or the first pair such as `start_lat` and `start_lon`. */
export function placesOf({ columns }: Pick<SqlAnswer, 'columns' | 'rows'>): { lat: number; lon: number } | null {
  for (const [lat, column] of columns.entries()) {
    const prefix = LATITUDE.exec(column.name)?.[1];
    if (!LATITUDE.test(column.name) || !isNumeric(column)) continue;
    const wanted = ['lon', 'lng', 'longitude'].map((name) => `${prefix ?? ''}${name}`.toLowerCase());
    const lon = columns.findIndex((c) => wanted.includes(c.name.toLowerCase()) && isNumeric(c));
    if (lon >= 0) return { lat, lon };
  }
  return null;
}

/** The number by which places are coloured: the first that is not where they are. */
export function weightOf(columns: readonly SqlColumn[], places: { lat: number; lon: number }): number | null {
  const at = columns.findIndex((c, i) => isNumeric(c) && i !== places.lat && i !== places.lon && !LATITUDE.test(c.name) && !/lon|lng/i.test(c.name));
  return at < 0 ? null : at;
}
