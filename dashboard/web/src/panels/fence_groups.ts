/** Geofences by their group, and which groups the map shows. */

import type { GeofenceFeature } from '../wire/types';

/** Empty: it is in none. */
export const groupOf = (fence: GeofenceFeature): string => fence.properties.group ?? '';

export const isShown = (fence: GeofenceFeature, hidden: ReadonlySet<string>): boolean => !hidden.has(groupOf(fence));

/** Made once: ten thousand names are compared a hundred thousand times. */
const { compare } = new Intl.Collator(undefined, { numeric: true });

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

/** A line of the list: a geofence, or what stands over those of a group. */
export interface Listed {
  key: string;
  px: number;
  group: string;
  /** Null: it is the group's heading. */
  fence: GeofenceFeature | null;
}

/** As in the stylesheet. */
const FENCE_PX = 46;
const HEADING_PX = 42;

export const keyOf = (fence: string): string => `fence ${fence}`;

/** All lines of the list. Who has no groups sees none. */
export function listed(fences: Iterable<GeofenceFeature>): Listed[] {
  const groups = grouped(fences);
  const plain = groups.every(([group]) => group === '');
  return groups.flatMap(([group, some]) => {
    const lines = some.map((fence): Listed => ({ key: keyOf(fence.properties.id), px: FENCE_PX, group, fence }));
    return plain ? lines : [{ key: `group ${group}`, px: HEADING_PX, group, fence: null }, ...lines];
  });
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
