/** What a user has chosen, as this browser keeps it. Nothing here is the fleet's; signing out forgets it. */

import type { PreferencesInfo, UnitsName } from './wire/types';

export type Units = UnitsName;
export const UNITS: readonly Units[] = ['metric', 'imperial', 'nautical'];

const PREFIX = 'waystream.';

export function preferred(key: string): string | null {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function prefer(key: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // Without storage a preference lasts as long as the page.
  }
}

export function forgetOne(key: string): void {
  try {
    localStorage.removeItem(PREFIX + key);
  } catch {
    // Nothing was kept.
  }
}

export function forget(): void {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  } catch {
    // Nothing was kept.
  }
}

export function preferredUnits(): Units {
  const kept = preferred('units');
  return UNITS.find((u) => u === kept) ?? 'metric';
}

export const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
};

/** Null: the browser's. */
export function preferredTimeZone(): string | null {
  const kept = preferred('timeZone');
  return kept !== null && isTimeZone(kept) ? kept : null;
}

/** Units and time zone are the user's, in whatever browser: what is kept here is for pages that open without a session. */
export function takeOver(preferences: PreferencesInfo | null): void {
  if (!preferences) return;
  prefer('units', preferences.units);
  prefer('timeZone', preferences.time_zone ?? '');
}
