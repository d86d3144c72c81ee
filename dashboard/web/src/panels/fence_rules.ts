/** The rules of a geofence beside its shape: when who counts as inside, and what is told of it. */

import { texts } from '../texts';
import { field, h, lines, timeZones } from '../ui/dom';
import type { GeofenceProperties } from '../wire/types';

type NumberRule = 'exit_margin_m' | 'min_dwell_s' | 'loitering_s' | 'speed_limit_mps' | 'max_accuracy_m' | 'min_altitude_m' | 'max_altitude_m';
type Rules = Pick<GeofenceProperties, NumberRule | 'cross' | 'schedule'>;

interface Schedule { time_zone: string; hours: string[]; closed?: string[] }

/** Rules that are a number: what one unit on the screen is in the rule's own unit. */
const NUMBERS: readonly { rule: NumberRule; unit: number }[] = [
  { rule: 'exit_margin_m', unit: 1 },
  { rule: 'min_dwell_s', unit: 1 },
  { rule: 'loitering_s', unit: 60 },
  { rule: 'speed_limit_mps', unit: 1 / 3.6 },
  { rule: 'max_accuracy_m', unit: 1 },
  { rule: 'min_altitude_m', unit: 1 },
  { rule: 'max_altitude_m', unit: 1 },
];
/** Units on the screen are round numbers. */
const tidy = (n: number): string => String(Number(n.toFixed(2)));

/** The fields, and properties with what they say: a rule that is empty is not in force. */
export function rulesFields(now: Rules): { element: HTMLElement; apply: (to: GeofenceProperties) => GeofenceProperties } {
  const numbers = NUMBERS.map(({ rule, unit }) => {
    const value = now[rule];
    return { rule, unit, input: h('input', { type: 'number', step: 'any', value: value === undefined ? '' : tidy(value / unit) }) };
  });
  const cross = h('input', { type: 'checkbox', checked: now.cross ?? false });
  const schedule = now.schedule as Schedule | undefined;
  const hours = h('textarea', { rows: 2, value: schedule?.hours.join('\n') ?? '', placeholder: 'mon-fri 08:00-18:00' });
  const closed = h('input', { value: schedule?.closed?.join(', ') ?? '', placeholder: '2026-12-25' });
  const zone = timeZones(schedule?.time_zone);
  const element = h('details', { class: 'rules', open: numbers.some(({ input }) => input.value !== '') || cross.checked || schedule !== undefined },
    h('summary', {}, texts.fences.rules),
    ...numbers.map(({ rule, input }) => field(texts.fences.ruleNames[rule], input)),
    h('label', { class: 'check' }, cross, texts.fences.cross), field(texts.fences.hours, hours), field(texts.fences.closed, closed), field(texts.fences.timeZone, zone));
  return {
    element,
    apply: (to) => {
      const changed = { ...to };
      for (const { rule, unit, input } of numbers) {
        const value = input.valueAsNumber * unit;
        if (!Number.isFinite(value)) delete changed[rule];
        else changed[rule] = rule.endsWith('_s') ? Math.round(value) : value;
      }
      if (cross.checked) changed.cross = true;
      else delete changed.cross;
      const open = lines(hours.value), shut = lines(closed.value);
      if (open.length > 0 || shut.length > 0) changed.schedule = { time_zone: zone.value, hours: open, ...(shut.length > 0 ? { closed: shut } : {}) };
      else delete changed.schedule;
      return changed;
    },
  };
}
