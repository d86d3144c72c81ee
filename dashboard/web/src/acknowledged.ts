/** Which alerts somebody has seen to, in this browser. */

import { prefer, preferred } from './prefs';

const KEY = 'acknowledged';
/** The feed holds no more. */
const KEPT = 2000;

export function loadAcknowledged(): ReadonlySet<string> {
  try {
    const kept: unknown = JSON.parse(preferred(KEY) ?? '[]');
    return new Set(Array.isArray(kept) ? kept.filter((id) => typeof id === 'string') : []);
  } catch {
    return new Set();
  }
}

/** With more of them; the oldest are forgotten. */
export function acknowledge(before: ReadonlySet<string>, ids: readonly string[]): ReadonlySet<string> {
  const after = [...new Set([...before, ...ids])].slice(-KEPT);
  prefer(KEY, JSON.stringify(after));
  return new Set(after);
}
