/** The rules of a geofence beside its shape: when who counts as inside, and what is told of it. */

import { shortLength, speedMeasure } from '../format';
import { texts } from '../texts';
import { field, h, lines, timeZones } from '../ui/dom';
import type { GeofenceProperties } from '../wire/types';

type NumberRule = 'exit_margin_m' | 'min_dwell_s' | 'loitering_s' | 'speed_limit_mps' | 'max_accuracy_m' | 'min_altitude_m' | 'max_altitude_m';
type Rules = Pick<GeofenceProperties, NumberRule | 'cross' | 'schedule'>;

interface Schedule { time_zone: string; hours: string[]; closed?: string[] }

/** A unit on the screen: how much it is in the rule's own unit. */
interface Unit { name: string; of: number }
/** Rules that are a number. */
const NUMBERS: readonly { rule: NumberRule; unit: () => Unit }[] = [
  { rule: 'exit_margin_m', unit: shortLength },
  { rule: 'min_dwell_s', unit: () => ({ name: texts.units.s, of: 1 }) },
  { rule: 'loitering_s', unit: () => ({ name: texts.units.min, of: 60 }) },
  { rule: 'speed_limit_mps', unit: speedMeasure },
  { rule: 'max_accuracy_m', unit: shortLength },
  { rule: 'min_altitude_m', unit: shortLength },
  { rule: 'max_altitude_m', unit: shortLength },
];
/** Units on the screen are round numbers. */
const tidy = (n: number): string => String(Number(n.toFixed(2)));

/** What is shown of a value in that unit, and the value again from what is entered. What nobody touched stays as it was to the last digit. */
export function inUnit(value: number | undefined, { of }: Unit): { shown: string; read: (entered: string) => number | undefined } {
  const shown = value === undefined ? '' : tidy(value / of);
  return {
    shown,
    read: (entered) => {
      if (entered === shown) return value;
      const number = entered.trim() === '' ? NaN : Number(entered) * of;
      return Number.isFinite(number) ? number : undefined;
    },
  };
}

/** The fields, and properties with what they say: a rule that is empty is not in force. */
export function rulesFields(now: Rules): { element: HTMLElement; apply: (to: GeofenceProperties) => GeofenceProperties } {
  const numbers = NUMBERS.map(({ rule, unit }) => {
    const { shown, read } = inUnit(now[rule], unit());
    return { rule, read, name: texts.fences.measured(texts.fences.ruleNames[rule], unit().name), input: h('input', { type: 'number', step: 'any', value: shown }) };
  });
  const cross = h('input', { type: 'checkbox', checked: now.cross ?? false });
  const schedule = now.schedule as Schedule | undefined;
  const hours = h('textarea', { rows: 2, value: schedule?.hours.join('\n') ?? '', placeholder: 'mon-fri 08:00-18:00' });
  const closed = h('input', { value: schedule?.closed?.join(', ') ?? '', placeholder: '2026-12-25' });
  const zone = timeZones(schedule?.time_zone);
  const element = h('details', { class: 'rules', open: numbers.some(({ input }) => input.value !== '') || cross.checked || schedule !== undefined },
    h('summary', {}, texts.fences.rules),
    ...numbers.map(({ name, input }) => field(name, input)),
    h('label', { class: 'check' }, cross, texts.fences.cross), field(texts.fences.hours, hours), field(texts.fences.closed, closed), field(texts.fences.timeZone, zone));
  return {
    element,
    apply: (to) => {
      const changed = { ...to };
      for (const { rule, read, input } of numbers) {
        const value = read(input.value);
        if (value === undefined) delete changed[rule];
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
