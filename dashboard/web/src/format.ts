/** Numbers and times as people read them: the user's units and time zone, UTC on request. */

import type { Units } from './prefs';
import { texts } from './texts';

export function age(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 1) return texts.ages.now;
  if (s < 100) return texts.ages.seconds(Math.round(s));
  if (s < 100 * 60) return texts.ages.minutes(Math.round(s / 60));
  if (s < 48 * 3600) return texts.ages.hours(Math.round(s / 3600));
  return texts.ages.days(Math.round(s / 86_400));
}

/** Of a time in seconds: hours and minutes. */
export function durationText(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes === 0) return texts.ages.seconds(Math.round(seconds));
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? texts.ages.minutes(minutes) : `${texts.ages.hours(hours)} ${texts.ages.minutes(minutes % 60)}`;
}

/** One of a unit in metres (or m², km/h), and where it takes over. */
interface Unit { of: number; name: string; digits: (value: number) => number }

const whole = (): number => 0;
const tenths = (v: number): number => (v < 10 ? 2 : 1);
const LENGTHS: Record<Units, [small: Unit, limit: number, large: Unit]> = {
  metric: [{ of: 1, name: texts.units.m, digits: whole }, 1000, { of: 1000, name: texts.units.km, digits: tenths }],
  imperial: [{ of: 0.3048, name: texts.units.ft, digits: whole }, 304.8, { of: 1609.344, name: texts.units.mi, digits: tenths }],
  nautical: [{ of: 1, name: texts.units.m, digits: whole }, 1852, { of: 1852, name: texts.units.nmi, digits: tenths }],
};
const AREAS: Record<Units, [small: Unit, limit: number, large: Unit]> = {
  metric: [{ of: 1, name: texts.units.m2, digits: whole }, 100_000, { of: 1e6, name: texts.units.km2, digits: tenths }],
  imperial: [{ of: 4046.856, name: texts.units.acre, digits: tenths }, 2_589_988, { of: 2_589_988, name: texts.units.mi2, digits: tenths }],
  nautical: [{ of: 1, name: texts.units.m2, digits: whole }, 100_000, { of: 1e6, name: texts.units.km2, digits: tenths }],
};
const SPEEDS: Record<Units, { kmh: number; name: string }> = {
  metric: { kmh: 1, name: texts.units.kmh }, imperial: { kmh: 1.609344, name: texts.units.mph }, nautical: { kmh: 1.852, name: texts.units.kn },
};

let units: Units = 'metric';
/** Undefined: the browser's. */
let timeZone: string | undefined;

/** How this user reads figures and times; before anything is shown. */
export function configure(chosen: { units: Units; timeZone: string | null }): void {
  ({ units } = chosen);
  timeZone = chosen.timeZone ?? undefined;
  clocks = clocksOf(timeZone);
}

function measure(value: number, [small, limit, large]: [Unit, number, Unit]): string {
  const unit = Math.abs(value) < limit ? small : large;
  const shown = value / unit.of;
  return `${shown.toFixed(unit.digits(Math.abs(shown)))} ${unit.name}`;
}

/** Of a length in metres. */
export const lengthText = (m: number): string => measure(m, LENGTHS[units]);
/** Of an area in square metres. */
export const areaText = (m2: number): string => measure(m2, AREAS[units]);

/** The unit in which the user enters short lengths, and how many metres it has. */
export const shortLength = (): { name: string; of: number } => LENGTHS[units][0];
/** The unit in which the user enters speeds, and how many metres a second it is. */
export const speedMeasure = (): { name: string; of: number } => ({ name: SPEEDS[units].name, of: SPEEDS[units].kmh / 3.6 });

export const kmhOf = (mps: number): number => mps * 3.6;

export const speedUnit = (): string => SPEEDS[units].name;
/** Km/h in the user's unit. */
export const speedIn = (kmh: number): number => kmh / SPEEDS[units].kmh;
/** Of a speed in km/h. */
export const speedText = (kmh: number | null): string => (kmh === null ? '–' : `${Math.round(speedIn(kmh))} ${speedUnit()}`);

export const course = (degrees: number): string =>
  `${texts.compass[Math.round(degrees / 45) % 8]} ${Math.round(degrees) % 360}°`;

interface Clocks { clock: Intl.DateTimeFormat; day: Intl.DateTimeFormat; dayClock: Intl.DateTimeFormat; wall: Intl.DateTimeFormat }

function clocksOf(zone: string | undefined): Clocks {
  const common = zone === undefined ? {} : { timeZone: zone };
  const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' } as const;
  return {
    clock: new Intl.DateTimeFormat(undefined, { ...common, ...clock }),
    day: new Intl.DateTimeFormat(undefined, { ...common, weekday: 'short', day: 'numeric', month: 'short' }),
    dayClock: new Intl.DateTimeFormat(undefined, { ...common, day: 'numeric', month: 'short', ...clock }),
    wall: new Intl.DateTimeFormat('en-GB', { ...common, year: 'numeric', month: '2-digit', day: '2-digit', ...clock }),
  };
}
let clocks = clocksOf(undefined);

/** What a clock and a calendar in the user's zone show, as if they showed UTC. */
function wallClock(ms: number): number {
  const parts = Object.fromEntries(clocks.wall.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(parts['year'], parts['month'] - 1, parts['day'], parts['hour'], parts['minute'], parts['second']);
}
const dayOf = (ms: number): number => Math.floor(wallClock(ms) / 86_400_000);

/** Time of day; with the date if it is not today. */
export function time(ms: number, now = Date.now()): string {
  return dayOf(ms) === dayOf(now) ? clocks.clock.format(ms) : clocks.dayClock.format(ms);
}
export const timeOfDay = (ms: number): string => clocks.clock.format(ms);
export const date = (ms: number): string => clocks.day.format(ms);
/** For libraries that ask a Date for its local parts. */
export const zoned = (ms: number): Date => {
  const local = new Date(wallClock(ms));
  return new Date(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate(), local.getUTCHours(), local.getUTCMinutes(), local.getUTCSeconds());
};

export function utc(ms: number): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return '';
  return new Date(ms).toISOString().replace('T', ' ').replace(/\.(\d{3})Z$/, (_, ms3: string) => (ms3 === '000' ? '' : `.${ms3}`)) + ' UTC';
}

export const coordinates = (lat: number, lon: number): string => `${lat.toFixed(5)}, ${lon.toFixed(5)}`;

/** `power_v` and 12.6 → "Power", "12.6 V": the unit stands in the name. */
const UNITS: [suffix: string, unit: string][] = [
  ['_mps', 'm/s'], ['_kmh', 'km/h'], ['_deg', '°'], ['_pct', '%'], ['_percent', '%'], ['_mv', 'mV'], ['_ma', 'mA'], ['_rpm', 'rpm'],
  ['_dbm', 'dBm'], ['_hpa', 'hPa'], ['_mm', 'mm'], ['_km', 'km'], ['_ms', 'ms'], ['_c', '°C'], ['_v', 'V'], ['_a', 'A'], ['_l', 'l'],
  ['_s', 's'], ['_m', 'm'], ['_g', 'g'], ['_h', 'h'],
];
export function attribute(name: string, value: boolean | number | string): { label: string; text: string } {
  const unit = typeof value === 'number' ? UNITS.find(([suffix]) => name.endsWith(suffix)) : undefined;
  const bare = (unit ? name.slice(0, -unit[0].length) : name).replaceAll('_', ' ');
  const label = bare.charAt(0).toUpperCase() + bare.slice(1);
  if (typeof value === 'boolean') return { label, text: value ? texts.details.yes : texts.details.no };
  if (typeof value === 'string') return { label, text: value };
  if (unit?.[1] === 'm' && Math.abs(value) >= 10_000) {
    return { label, text: `${(value / 1000).toLocaleString(undefined, { maximumFractionDigits: 1 })} ${texts.units.km}` };
  }
  const rounded = Number.isInteger(value) ? value.toLocaleString() : Number(value.toPrecision(6)).toLocaleString(undefined, { maximumFractionDigits: 3 });
  return { label, text: unit ? `${rounded} ${unit[1]}` : rounded };
}

/** Value of a `datetime-local` input, in the user's zone. */
export const toLocalInput = (ms: number): string => new Date(wallClock(ms)).toISOString().slice(0, 19);

/** NaN if it is none. An hour that a change of clocks skips is taken for the one after. */
export function fromLocalInput(text: string): number {
  const wanted = Date.parse(`${text}Z`);
  if (!Number.isFinite(wanted)) return Number.NaN;
  const guess = wanted - (wallClock(wanted) - wanted);
  return guess + (wanted - wallClock(guess));
}
