/** Which alerts somebody of the organisation has seen to. The server keeps them; this is what it has told. */

import type { AcknowledgementInfo, AlertEvent, CatalogMessage } from './wire/types';

/** By event. */
export type Acknowledged = ReadonlyMap<string, AcknowledgementInfo>;

/** Alerts of one request. */
const AT_ONCE = 1_000;

/** What alerts of the past say of themselves. */
export const acknowledgedOf = (alerts: readonly AlertEvent[]): Acknowledged =>
  new Map(alerts.flatMap(({ event_id, acknowledged }) => (acknowledged ? [[event_id, acknowledged] as const] : [])));

/** With what the server has told now. */
export function apply(before: Acknowledged, change: Extract<CatalogMessage, { kind: 'acknowledgements' }>): Acknowledged {
  const after = new Map(change.whole ? [] : before);
  for (const id of change.taken_back) after.delete(id);
  for (const given of change.given) after.set(given.event_id, given);
  return after;
}

/** In requests that are not too long. */
export function inParts(ids: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(ids.length / AT_ONCE) }, (_, k) => ids.slice(k * AT_ONCE, (k + 1) * AT_ONCE));
}
