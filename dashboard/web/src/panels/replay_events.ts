/** The alerts of a replay: of its vehicles, all of its time, and none that did not happen after all. */

import { NAMED_AT_MOST, api } from '../api';
import type { ReplaySession } from '../state';
import type { AlertEvent, EventsAnswer } from '../wire/types';
import { NOTABLE_KINDS } from './feed';

/** The server gives no more at once. */
const PAGE = 1000;
/** As many as the server plays. */
const MOST = 20_000;

/** Oldest first. `tell` gets all that is known after each page, and says whether to go on. Answers whether there are more than these. */
export async function collect(
  page: (after: string) => Promise<EventsAnswer>, devices: ReadonlySet<string>, tell: (alerts: AlertEvent[]) => boolean,
): Promise<boolean> {
  const all = new Map<string, AlertEvent>();
  for (let after = ''; all.size < MOST;) {
    const { events, cursor } = await page(after);
    for (const event of events) if (devices.has(event.device)) all.set(event.event_id, event);
    const more = events.length >= PAGE && cursor !== after;
    after = cursor;
    if (!tell([...all.values()].filter((e) => !e.retracted).sort((a, b) => a.fix_time - b.fix_time)) || !more) return false;
  }
  return true;
}

export function alertsOf({ from, to, devices }: ReplaySession, tell: (alerts: AlertEvent[]) => boolean): Promise<boolean> {
  // Of more vehicles all is asked for, and looked through here.
  const device = devices.length <= NAMED_AT_MOST ? devices.join(',') : null;
  const asked = { from, to, kind: NOTABLE_KINDS, limit: PAGE, ...(device === null ? {} : { device }) };
  return devices.length === 0 ? Promise.resolve(false) : collect((after) => api.events({ ...asked, after }), new Set(devices), tell);
}
