/** Geofences by their group, and which groups the map shows. */

import type { GeofenceFeature } from '../wire/types';

/** Empty: it is in none. */
export const groupOf = (fence: GeofenceFeature): string => fence.properties.group ?? '';

export const isShown = (fence: GeofenceFeature, hidden: ReadonlySet<string>): boolean => !hidden.has(groupOf(fence));

const compare = (a: string, b: string): number => a.localeCompare(b, undefined, { numeric: true });

/** By name, in groups by name; those without one come last. */
export function grouped(fences: Iterable<GeofenceFeature>): [group: string, fences: GeofenceFeature[]][] {
  const groups = new Map<string, GeofenceFeature[]>();
  for (const fence of [...fences].sort((a, b) => compare(a.properties.name, b.properties.name))) {
    const group = groupOf(fence);
    const others = groups.get(group);
    if (others) others.push(fence);
    else groups.set(group, [fence]);
  }
  return [...groups].sort(([a], [b]) => Number(a === '') - Number(b === '') || compare(a, b));
}

/** As kept by a browser; what it can't be is nothing. */
export function readHidden(text: string | null): ReadonlySet<string> {
  try {
    const groups: unknown = JSON.parse(text ?? '[]');
    return new Set(Array.isArray(groups) ? groups.filter((g) => typeof g === 'string') : []);
  } catch {
    return new Set();
  }
}

export const writeHidden = (hidden: ReadonlySet<string>): string => JSON.stringify([...hidden]);
