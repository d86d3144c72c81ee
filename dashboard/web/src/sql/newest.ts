/** What a device told last under each name, as different packets tell different things: the question, and its answer. */

import { literal, moment } from './literal';

export type Value = boolean | number | string;
/** By name: what it was last, and when the fix was taken that told it, ms. */
export type Newest = ReadonlyMap<string, { value: Value; at: number }>;

/** In JSON as the server writes it, a value with its colon and the quote before: without them names alone are left. */
const VALUE = String.raw`":("(\\.|[^"\\])*"|[^,"}]*)`;

/** Of the positions that tell the same names only the newest. `upTo` null: no end. */
export function newestSql(device: string, after: number, upTo: number | null): string {
  return `SELECT fix_time, attributes FROM (
SELECT fix_time, attributes, row_number() OVER (PARTITION BY regexp_replace(attributes, ${literal(VALUE)}, '"', 'g') ORDER BY fix_time DESC) AS place
FROM positions WHERE device = ${literal(device)} AND fix_time > ${moment(after)}${upTo === null ? '' : ` AND fix_time <= ${moment(upTo)}`}) AS told
WHERE place = 1`;
}

export interface Told { at: number; attributes: Readonly<Record<string, Value>> }

export const toldOf = (rows: readonly unknown[][]): Told[] =>
  rows.map(([at, attributes]) => ({ at: Date.parse(String(at)), attributes: JSON.parse(String(attributes)) as Record<string, Value> }));

export function newest(known: Newest, told: readonly Told[]): Newest {
  const all = new Map(known);
  for (const { at, attributes } of told) {
    for (const [name, value] of Object.entries(attributes)) {
      if (at >= (all.get(name)?.at ?? -Infinity)) all.set(name, { value, at });
    }
  }
  return all;
}
