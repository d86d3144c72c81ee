import { expect, it } from 'vitest';
import type { Acknowledged } from '../acknowledged';
import type { AlertFilter, ReplaySession, State } from '../state';
import { ALL, NOTABLE, NOTABLE_KINDS, NO_FILTER, OPEN, PAGE, firstOf, isNotable, kindsOf, nextPage, passesFilter, questionOf, toldBy, withAlert, withOlder } from './feed';
import type { AlertEvent } from '../wire/types';

const alert = (event_id: string, received_at: number, kind = 'enter'): AlertEvent => ({ event_id, received_at, kind }) as AlertEvent;
const ids = (alerts: readonly AlertEvent[]): string => alerts.map((a) => a.event_id).join(' ');
const page = (n: number, from = 0): AlertEvent[] => Array.from({ length: n }, (_, k) => alert(`e${from + k}`, from + k));

it('asks for alerts where the everyday life of a fleet is not wanted', () => {
  expect(NOTABLE_KINDS.split(',')).toEqual(expect.arrayContaining(['enter', 'exit', 'alarm', 'device_offline']));
  expect(NOTABLE_KINDS.split(',').every((kind) => isNotable({ kind }))).toBe(true);
  expect([kindsOf(NOTABLE), kindsOf(OPEN), kindsOf(ALL), kindsOf('moving')]).toEqual([NOTABLE_KINDS, NOTABLE_KINDS, undefined, 'moving']);
});

it('adds older ones behind what it has, each once', () => {
  expect(ids(withOlder([alert('c', 3), alert('b', 2)], [alert('a', 1), alert('b', 2)]))).toBe('c b a');
});

it('keeps alerts rather than everyday events, and all that somebody asked for', () => {
  const full = [...page(1_999).reverse(), alert('old', -1, 'moving')];
  const one = withAlert(full, alert('new', 5_000));
  expect([one.length, one[0].event_id, one.some((a) => a.event_id === 'old')]).toEqual([2_000, 'new', false]);
  expect(withAlert(withOlder(one, page(500, -1_000)), alert('newer', 6_000))).toHaveLength(2_500);
  // A correction of one takes its place at the top.
  expect(ids(withAlert([alert('b', 2), alert('a', 1)], alert('a', 3)))).toBe('a b');
});

it('goes back page by page to the end', () => {
  expect(nextPage(page(PAGE, 1_000))).toBe(1_000);
  expect(nextPage(page(PAGE - 1, 1_000))).toBeNull();
  expect(nextPage(Array.from({ length: PAGE }, (_, k) => alert(`e${k}`, 7)), 7)).toBe(6);
});

it('shows no more than it says, and acknowledges no more than it shows', () => {
  const even = (n: number): boolean => n % 2 === 0;
  expect(firstOf([1, 2, 3, 4, 5, 6], even, 2)).toEqual({ shown: [2, 4], more: true });
  expect(firstOf([1, 2, 3, 4, 5], even, 2)).toEqual({ shown: [2, 4], more: false });
});

it('lists what passes all filters, and asks the server for what it knows of them', () => {
  const told = (event_id: string, rest: Partial<AlertEvent>): AlertEvent => ({ ...alert(event_id, 0), fleet: 'north', device: 'bus', fix_time: 5, ...rest });
  const alerts = [told('a', {}), told('b', { fleet: 'south' }), told('c', { device: 'van', fix_time: 9 }), told('d', { kind: 'moving' }), told('seen', { kind: 'alarm', fix_time: 1 })];
  const acknowledged: Acknowledged = new Map([['seen', { event_id: 'seen', by: 'anna', at: 7, note: null }]]);
  const listed = (filter: Partial<AlertFilter>): string => ids(alerts.filter((a) => passesFilter(a, { ...NO_FILTER, ...filter }, acknowledged)));
  expect(listed({})).toBe('a b c seen');
  expect(listed({ kind: ALL })).toBe('a b c d seen');
  expect(listed({ kind: OPEN })).toBe('a b c');
  expect(listed({ kind: ALL, status: 'open' })).toBe('a b c');
  expect(listed({ status: 'acknowledged' })).toBe('seen');
  expect(listed({ kind: OPEN, status: 'acknowledged' })).toBe('');
  expect(listed({ kind: 'moving' })).toBe('d');
  expect(listed({ fleet: 'south' })).toBe('b');
  expect(listed({ device: 'bus', fleet: 'north' })).toBe('a seen');
  expect(listed({ from: 5 })).toBe('a b c');
  expect(listed({ from: 2, to: 8 })).toBe('a b');
  expect(questionOf({ ...NO_FILTER, text: 'x', status: 'open' })).toEqual({ kind: NOTABLE_KINDS });
  expect(questionOf({ ...NO_FILTER, kind: ALL, fleet: 'f', device: 'd', from: 1, to: 2 })).toEqual({ fleet: 'f', device: 'd', from: 1, to: 2 });
});

it('tells of what is new by sound and pop-up, by sound also who has the feed open, and nobody who looks at the past', () => {
  const fresh = { ...alert('a', 0), fix_time: 1_000, retracted: false };
  const acknowledged: Acknowledged = new Map([['seen', { event_id: 'seen', by: 'anna', at: 7, note: null }]]);
  const told = (state: Partial<State>, it = fresh, isKnown = false, now = 1_000): string => {
    const { sound, popUp } = toldBy(it, isKnown, now, { replay: null, panel: 'vehicles', sound: true, toasts: true, acknowledged, ...state });
    return [sound && 'sound', popUp && 'pop-up'].filter((how) => how !== false).join(', ');
  };
  expect(told({})).toBe('sound, pop-up');
  expect(told({ panel: 'alerts' })).toBe('sound');
  expect(told({ sound: false })).toBe('pop-up');
  expect(told({ toasts: false })).toBe('sound');
  expect(told({ replay: {} as ReplaySession })).toBe('');
  expect(told({}, fresh, true)).toBe('');
  expect([told({}, fresh, false, 121_000), told({}, fresh, false, 121_001)]).toEqual(['sound, pop-up', '']);
  expect(told({}, { ...fresh, event_id: 'seen' })).toBe('');
  expect(told({}, { ...fresh, retracted: true })).toBe('');
  expect(told({}, { ...fresh, kind: 'moving' })).toBe('');
});
