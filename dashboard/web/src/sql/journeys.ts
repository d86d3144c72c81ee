/** The question behind the table of trips and stops, and its answer. */

import { durationText, kmhOf, lengthText, speedText, time, utc } from '../format';
import { texts } from '../texts';
import { literal, moment } from './literal';

export type Kind = 'trips' | 'stops';
export type ColumnName = keyof typeof texts.journeys.columns;

/** What of the journeys somebody wants to see. */
export interface JourneyFilter {
  kind: Kind;
  /** Null, as `to` is then: the newest day. */
  from: number | null;
  to: number | null;
  fleet: string | null;
  /** Part of a name or id; any if empty. */
  vehicle: string;
  sort: ColumnName;
  descending: boolean;
}

/** As long as nobody has chosen. */
export const NEWEST: JourneyFilter = { kind: 'trips', from: null, to: null, fleet: null, vehicle: '', sort: 'started_at', descending: true };

export interface JourneyQuery extends JourneyFilter {
  from: number;
  to: number;
  /** Null: all of them. */
  limit: number | null;
}

export const COLUMNS: Record<Kind, readonly ColumnName[]> = {
  trips: ['vehicle', 'fleet_name', 'started_at', 'ended_at', 'duration_s', 'distance_m', 'driving_s', 'idle_s', 'max_speed_mps'],
  stops: ['vehicle', 'fleet_name', 'started_at', 'ended_at', 'duration_s', 'idle_s'],
};
const TEXTS: ReadonlySet<ColumnName> = new Set<ColumnName>(['vehicle', 'fleet_name']);
const TIMES: ReadonlySet<ColumnName> = new Set<ColumnName>(['started_at', 'ended_at']);
export const isFigure = (column: ColumnName): boolean => !TEXTS.has(column) && !TIMES.has(column);
const PLACES: Record<Kind, readonly string[]> = { trips: ['start_lat', 'start_lon', 'end_lat', 'end_lon'], stops: ['lat', 'lon'] };

/** All that were under way in the range, with names for people. */
export function journeySql({ kind, from, to, fleet, vehicle, sort, descending, limit }: JourneyQuery): string {
  const own = [...COLUMNS[kind].filter((column) => !TEXTS.has(column)), ...PLACES[kind]].map((column) => `j.${column}`);
  const part = literal(vehicle.trim().toLowerCase());
  const conditions = [
    `j.started_at < ${moment(to)}`, `(j.ended_at > ${moment(from)} OR j.ended_at IS NULL)`,
    ...(fleet === null ? [] : [`j.fleet = ${literal(fleet)}`]),
    ...(vehicle.trim() === '' ? [] : [`(strpos(lower(j.device), ${part}) > 0 OR strpos(lower(d.name), ${part}) > 0)`]),
  ];
  return `SELECT j.device, coalesce(d.name, j.device) AS vehicle, coalesce(f.name, j.fleet) AS fleet_name, ${own.join(', ')}
FROM ${kind} j LEFT JOIN devices d ON d.device = j.device LEFT JOIN fleets f ON f.fleet = j.fleet
WHERE ${conditions.join(' AND ')}
ORDER BY ${TEXTS.has(sort) ? sort : `j.${sort}`} ${descending ? 'DESC' : 'ASC'} NULLS LAST, j.started_at DESC, j.device${limit === null ? '' : ` LIMIT ${limit}`}`;
}

export interface Journey {
  device: string;
  from: number;
  /** Null: it goes on. */
  to: number | null;
  /** Where it began, or is; null if that was not told. */
  place: { lat: number; lon: number } | null;
  /** Where a trip led. */
  end: { lat: number; lon: number } | null;
  /** As the answer has them. */
  values: ReadonlyMap<string, unknown>;
}

const place = (lat: unknown, lon: unknown): Journey['place'] => (typeof lat === 'number' && typeof lon === 'number' ? { lat, lon } : null);

export function journeysOf({ columns, rows }: { columns: readonly { name: string }[]; rows: readonly unknown[][] }): Journey[] {
  return rows.map((row) => {
    const values = new Map(columns.map(({ name }, i) => [name, row[i]]));
    const ended = values.get('ended_at') ?? null;
    return {
      device: String(values.get('device')), from: Date.parse(String(values.get('started_at'))), to: ended === null ? null : Date.parse(String(ended)),
      place: place(values.get('lat') ?? values.get('start_lat'), values.get('lon') ?? values.get('start_lon')),
      end: place(values.get('end_lat'), values.get('end_lon')), values,
    };
  });
}

/** A value as the table shows it, and what it shows when pointed at. */
export function journeyCell(column: ColumnName, value: unknown): { text: string; title: string } {
  if (value === null || value === undefined) return { text: column === 'ended_at' ? texts.journeys.goesOn : '–', title: '' };
  if (TEXTS.has(column)) return { text: String(value), title: '' };
  if (TIMES.has(column)) {
    const ms = Date.parse(String(value));
    return { text: time(ms), title: utc(ms) };
  }
  const figure = Number(value);
  if (column === 'distance_m') return { text: lengthText(figure), title: '' };
  if (column === 'max_speed_mps') return { text: speedText(kmhOf(figure)), title: '' };
  return { text: durationText(figure), title: '' };
}
