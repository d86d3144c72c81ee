/** What a user has chosen in this browser. Nothing here is the fleet's; signing out forgets it. */

export type Units = 'metric' | 'imperial' | 'nautical';
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
