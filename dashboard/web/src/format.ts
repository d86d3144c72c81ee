/** Numbers and times as people read them: km/h, the browser's time zone, UTC on request. */

import { texts } from './texts';

export function age(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 1) return texts.ages.now;
  if (s < 100) return texts.ages.seconds(Math.round(s));
  if (s < 100 * 60) return texts.ages.minutes(Math.round(s / 60));
  if (s < 48 * 3600) return texts.ages.hours(Math.round(s / 3600));
  return texts.ages.days(Math.round(s / 86_400));
}

export const kmh = (speed: number | null): string => (speed === null ? '–' : `${Math.round(speed)} ${texts.units.kmh}`);

export function metres(m: number): string {
  return m < 1000 ? `${Math.round(m)} ${texts.units.m}` : `${(m / 1000).toFixed(m < 10_000 ? 2 : 1)} ${texts.units.km}`;
}

export const course = (degrees: number): string =>
  `${texts.compass[Math.round(degrees / 45) % 8]} ${Math.round(degrees) % 360}°`;

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });
const dayClock = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});

/** Time of day; with the date if it is not today. */
export function time(ms: number, now = Date.now()): string {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? clock.format(ms) : dayClock.format(ms);
}
export const timeOfDay = (ms: number): string => clock.format(ms);
export const date = (ms: number): string => day.format(ms);

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

/** Value of a `datetime-local` input, in the browser's zone. */
export function toLocalInput(ms: number): string {
  const d = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return d.toISOString().slice(0, 19);
}
export const fromLocalInput = (text: string): number => new Date(text).getTime();
