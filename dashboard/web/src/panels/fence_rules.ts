/** The rules of a geofence beside its shape: when who counts as inside, and what is told of it. */

import { texts } from '../texts';
import { field, h, options } from '../ui/dom';
import type { GeofenceProperties } from '../wire/types';

type Rules = Pick<GeofenceProperties, 'exit_margin_m' | 'min_dwell_s' | 'schedule'>;
type NumberRule = Exclude<keyof Rules, 'schedule'>;

interface Schedule { time_zone: string; hours: string[]; closed?: string[] }

/** Rules that are a number: what one unit on the screen is in the rule's own unit. */
const NUMBERS: readonly { rule: NumberRule; unit: number; step: number }[] = [
  { rule: 'exit_margin_m', unit: 1, step: 1 },
  { rule: 'min_dwell_s', unit: 1, step: 1 },
];

const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;
const lines = (text: string): string[] => text.split(/[\n,;]/).map((line) => line.trim()).filter((line) => line !== '');

/** The fields, and properties with what they say: a rule that is empty is not in force. */
export function rulesFields(now: Rules): { element: HTMLElement; apply: (to: GeofenceProperties) => GeofenceProperties } {
  const numbers = NUMBERS.map(({ rule, unit, step }) => {
    const value = now[rule];
    const input = h('input', { type: 'number', min: '0', step: String(step), value: value ? String(value / unit) : '' });
    return { rule, unit, input };
  });
  const schedule = now.schedule as Schedule | undefined;
  const hours = h('textarea', { rows: 2, value: schedule?.hours.join('\n') ?? '', placeholder: 'mon-fri 08:00-18:00' });
  const closed = h('input', { value: schedule?.closed?.join(', ') ?? '', placeholder: '2026-12-25' });
  const zone = h('select', {});
  const zones = new Set([schedule?.time_zone ?? ownZone(), ...Intl.supportedValuesOf('timeZone')]);
  options(zone, [...zones].sort().map((name) => [name, name] as const), schedule?.time_zone ?? ownZone());
  const element = h('details', { class: 'rules', open: numbers.some(({ input }) => input.value !== '') || schedule !== undefined },
    h('summary', {}, texts.fences.rules),
    ...numbers.map(({ rule, input }) => field(texts.fences.ruleNames[rule], input)),
    field(texts.fences.hours, hours), field(texts.fences.closed, closed), field(texts.fences.timeZone, zone));
  return {
    element,
    apply: (to) => {
      const changed = { ...to };
      for (const { rule, unit, input } of numbers) {
        if (input.valueAsNumber > 0) changed[rule] = input.valueAsNumber * unit;
        else delete changed[rule];
      }
      const open = lines(hours.value), shut = lines(closed.value);
      if (open.length > 0 || shut.length > 0) changed.schedule = { time_zone: zone.value, hours: open, ...(shut.length > 0 ? { closed: shut } : {}) };
      else delete changed.schedule;
      return changed;
    },
  };
}
