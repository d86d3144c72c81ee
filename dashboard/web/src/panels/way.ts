/** How fast one vehicle was, and where it stood, over the time of a replay: the questions and what their answers say. */

import { literal, moment } from '../sql/literal';

export interface Span { from: number; to: number }
export interface Way {
  /** The fastest of each step of time that has a report. */
  speeds: { t: number; mps: number }[];
  stepMs: number;
  /** Cut to the replay's time. */
  stops: Span[];
}

/** About as many as a slider has pixels. */
const STEPS = 600;
/** No report for that long is a hole in the line. */
const GAP_MS = 5 * 60_000;

/** Whole seconds, so that reports of one a second don't fall two and none in a step. */
export const stepOf = ({ from, to }: Span): number => Math.max(1, Math.ceil((to - from) / STEPS / 1000)) * 1000;

export function speedSql(device: string, span: Span): string {
  return `SELECT date_bin(INTERVAL '${stepOf(span) / 1000} seconds', fix_time) AS step, max(speed_mps) AS speed FROM positions
WHERE device = ${literal(device)} AND valid AND fix_time BETWEEN ${moment(span.from)} AND ${moment(span.to)}
GROUP BY step ORDER BY step`;
}

export function stopsSql(device: string, { from, to }: Span): string {
  return `SELECT started_at, ended_at FROM stops WHERE device = ${literal(device)}
AND started_at <= ${moment(to)} AND (ended_at IS NULL OR ended_at >= ${moment(from)}) ORDER BY started_at`;
}

export function wayOf(speeds: readonly unknown[][], stops: readonly unknown[][], span: Span): Way {
  const time = (value: unknown): number => (value === null ? Number.NaN : Date.parse(String(value)));
  return {
    stepMs: stepOf(span),
    speeds: speeds.flatMap(([step, speed]) => (speed === null || Number.isNaN(time(step)) ? [] : [{ t: time(step), mps: Number(speed) }])),
    stops: stops.flatMap(([began, ended]) => {
      // One that goes on lasts as long as the replay.
      const from = Math.max(span.from, time(began)), to = Math.min(span.to, ended === null ? span.to : time(ended));
      return to >= from ? [{ from, to }] : [];
    }),
  };
}

/** Null: nobody knows. */
export function speedAt({ speeds, stepMs }: Way, at: number): number | null {
  const step = speeds.findLast(({ t }) => t <= at);
  return step && at - step.t < stepMs ? step.mps : null;
}

export const standsAt = ({ stops }: Way, at: number): boolean => stops.some(({ from, to }) => from <= at && at <= to);

/** Parts of the line between holes. */
export function runs({ speeds, stepMs }: Way): Way['speeds'][] {
  const parts: Way['speeds'][] = [];
  speeds.forEach((point, i) => {
    if (i === 0 || point.t - speeds[i - 1].t > Math.max(GAP_MS, 2 * stepMs)) parts.push([]);
    parts[parts.length - 1].push(point);
  });
  return parts;
}
