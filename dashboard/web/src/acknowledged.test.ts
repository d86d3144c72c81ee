import { expect, it } from 'vitest';
import { acknowledgedOf, apply, inParts } from './acknowledged';
import type { AcknowledgementInfo, AlertEvent } from './wire/types';

const given = (event_id: string, by = 'ann'): AcknowledgementInfo => ({ event_id, by, at: 1, note: null });
const change = (whole: boolean, those: AcknowledgementInfo[], taken_back: string[] = []) => ({ kind: 'acknowledgements' as const, whole, given: those, taken_back });
const names = (acknowledged: ReadonlyMap<string, AcknowledgementInfo>): string[] => [...acknowledged.values()].map((a) => `${a.event_id} ${a.by}`);

it('begins with what alerts of the past say', () => {
  const alerts = [{ event_id: 'a', acknowledged: given('a') }, { event_id: 'b', acknowledged: null }] as AlertEvent[];
  expect(names(acknowledgedOf(alerts))).toEqual(['a ann']);
});

it('follows what the server tells, and forgets what it no longer tells after a break', () => {
  const start = acknowledgedOf([]);
  const one = apply(start, change(false, [given('a'), given('b')]));
  const two = apply(one, change(false, [given('b', 'jo'), given('c')], ['a']));
  expect([names(start), names(one), names(two)]).toEqual([[], ['a ann', 'b ann'], ['b jo', 'c ann']]);
  expect(names(apply(two, change(true, [given('c')])))).toEqual(['c ann']);
});

it('asks for no more at once than the server takes', () => {
  const ids = Array.from({ length: 2_001 }, (_, k) => String(k));
  expect(inParts(ids).map((part) => part.length)).toEqual([1_000, 1_000, 1]);
  expect(inParts(ids).flat()).toEqual(ids);
  expect(inParts([])).toEqual([]);
});
