import { expect, it } from 'vitest';
import type { AlertEvent, EventsAnswer } from '../wire/types';
import { collect } from './replay_events';

const event = (n: number, device: string, retracted = false): AlertEvent => ({ event_id: `e${n}`, device, fix_time: n, retracted } as AlertEvent);

it('has the alerts of the replayed vehicles from the beginning, page by page, without those that were taken back', async () => {
  const pages: Record<string, EventsAnswer> = {
    '': { events: Array.from({ length: 1000 }, (_, n) => event(n === 0 ? 5000 : n, n % 2 === 0 ? 'a' : 'other')), cursor: '0:1000' },
    '0:1000': { events: [event(1001, 'a'), event(2, 'a', true)], cursor: '0:1002' },
  };
  const asked: string[] = [];
  const told: AlertEvent[][] = [];
  const ask = (after: string): Promise<EventsAnswer> => {
    asked.push(after);
    return Promise.resolve(pages[after]);
  };
  expect(await collect(ask, new Set(['a']), (alerts) => told.push(alerts) > 0)).toBe(false);
  expect(asked).toEqual(['', '0:1000']);
  expect(told.map((alerts) => alerts.length)).toEqual([500, 500]);
  expect(told[1].slice(0, 2).map((a) => a.event_id)).toEqual(['e4', 'e6']);
  expect(told[1].slice(-2).map((a) => a.event_id)).toEqual(['e1001', 'e5000']);
  // Nobody replays any more.
  asked.length = 0;
  await collect(ask, new Set(['a']), () => false);
  expect(asked).toEqual(['']);
});

it('says that there are more than a page bears', async () => {
  let pages = 0;
  const endless = (): Promise<EventsAnswer> => {
    const events = Array.from({ length: 1000 }, (_, n) => event(1000 * pages + n, 'a'));
    return Promise.resolve({ events, cursor: `0:${++pages}` });
  };
  let told = 0;
  expect(await collect(endless, new Set(['a']), ({ length }) => (told = length) > 0)).toBe(true);
  expect([pages, told]).toEqual([20, 20_000]);
});
