/** The feed of alerts as data: what is an alert, what of history has been asked for, what is kept. */

import type { Acknowledged } from '../acknowledged';
import type { AlertFilter, State } from '../state';
import { texts } from '../texts';
import type { AlertEvent } from '../wire/types';

/** Of one answer of the server. */
export const PAGE = 500;
/** Beyond these the oldest leave, unless somebody asked for older ones. */
const KEPT = 2_000;

/** The everyday life of a fleet: in the feed for who asks for it, but no alert. */
const ROUTINE = new Set(['trip_start', 'trip_end', 'moving', 'stopped', 'ignition_on', 'ignition_off', 'device_online', 'device_late', 'command_sent']);
export const isNotable = ({ kind }: Pick<AlertEvent, 'kind'>): boolean => !ROUTINE.has(kind);

/** Choices beside the kinds themselves. */
export const NOTABLE = '', ALL = '*', OPEN = '!';
/** What the server is asked for: everyday events are so many that there may be no alert among the newest. */
export const NOTABLE_KINDS = Object.keys(texts.alerts.kindNames).filter((kind) => isNotable({ kind })).join();
/** Undefined: of all kinds. */
export const kindsOf = (choice: string): string | undefined => (choice === ALL ? undefined : choice === NOTABLE || choice === OPEN ? NOTABLE_KINDS : choice);

/** All that is notable. */
export const NO_FILTER: AlertFilter = { kind: NOTABLE, text: '', fleet: null, device: null, status: '', from: null, to: null };

/** What the server is asked for, as far as it knows of such filters. */
export interface Question { kind?: string; fleet?: string; device?: string; from?: number; to?: number }
export function questionOf({ kind, fleet, device, from, to }: AlertFilter): Question {
  const kinds = kindsOf(kind);
  return {
    ...(kinds === undefined ? {} : { kind: kinds }), ...(fleet === null ? {} : { fleet }), ...(device === null ? {} : { device }),
    ...(from === null ? {} : { from }), ...(to === null ? {} : { to }),
  };
}

/** All but the text, which is that of a row. */
export function passesFilter(alert: AlertEvent, { kind, fleet, device, status, from, to }: AlertFilter, acknowledged: Acknowledged): boolean {
  const given = acknowledged.has(alert.event_id);
  const open = isNotable(alert) && !given;
  const wanted = kind === NOTABLE ? isNotable(alert) : kind === OPEN ? open : kind === ALL || alert.kind === kind;
  return wanted && (status === '' || (status === 'open' ? open : given)) && (fleet === null || alert.fleet === fleet) && (device === null || alert.device === device)
    && (from === null || alert.fix_time >= from) && (to === null || alert.fix_time <= to);
}

/** Alerts of fixes older than this are told in the feed only. */
const NEWS_MS = 120_000;

/** How somebody is told of an alert that has just come, besides by the feed: who looks at the feed sees it, but may be looking out of the window. */
export function toldBy(
  alert: AlertEvent, isKnown: boolean, now: number, { replay, panel, sound, toasts, acknowledged }: Pick<State, 'replay' | 'panel' | 'sound' | 'toasts' | 'acknowledged'>,
): { sound: boolean; popUp: boolean } {
  const isNews = !isKnown && now - alert.fix_time <= NEWS_MS && !alert.retracted && isNotable(alert) && !acknowledged.has(alert.event_id);
  // While somebody looks at the past, the present only counts up the badge.
  const isWanted = isNews && replay === null;
  return { sound: isWanted && sound, popUp: isWanted && toasts && panel !== 'alerts' };
}

/** With one that has just been told. Newest first. */
export function withAlert(alerts: readonly AlertEvent[], alert: AlertEvent): AlertEvent[] {
  const kept = [alert, ...alerts.filter((a) => a.event_id !== alert.event_id)];
  if (kept.length > Math.max(KEPT, alerts.length)) {
    // Everyday events are many: they don't push alerts out.
    const routine = kept.findLastIndex((a) => !isNotable(a));
    kept.splice(routine < 0 ? kept.length - 1 : routine, 1);
  }
  return kept;
}

/** With those of history; of one that is here already it is known better. */
export function withOlder(alerts: readonly AlertEvent[], older: readonly AlertEvent[]): AlertEvent[] {
  const known = new Set(alerts.map((a) => a.event_id));
  return [...alerts, ...older.filter((a) => !known.has(a.event_id))].sort((a, b) => b.received_at - a.received_at);
}

/** The time of reception from which on to ask for the next page; null if this one was the last. */
export function nextPage(page: readonly AlertEvent[], asked?: number): number | null {
  if (page.length < PAGE) return null;
  const oldest = page.reduce((least, a) => Math.min(least, a.received_at), Infinity);
  // A whole page of one moment: what else it had is left out.
  return oldest === asked ? oldest - 1 : oldest;
}

/** The first of those that pass, and whether there are more. */
export function firstOf<T>(all: readonly T[], passes: (one: T) => boolean, most: number): { shown: T[]; more: boolean } {
  const shown: T[] = [];
  for (const one of all) {
    if (!passes(one)) continue;
    if (shown.length === most) return { shown, more: true };
    shown.push(one);
  }
  return { shown, more: false };
}
