import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { VehicleListAnswer, VehicleListRequest } from '../wire/types';
import { Listing, NAMED_AT_MOST, listedOf, rowsOf } from './listing';
import { EVERYBODY, type Filter } from './protocol';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});


/** A server that answers when told to, and what it was asked. */
function setUp(): { listing: Listing; filter: Filter; asked: VehicleListRequest[]; answer: (matching: number) => Promise<void>; changes: () => number } {
  const filter = { ...EVERYBODY };
  const asked: VehicleListRequest[] = [];
  let reply: (answer: VehicleListAnswer) => void = () => undefined;
  let changes = 0;
  const listing = new Listing(() => (request) => {
    asked.push(request);
    return new Promise((resolve) => {
      reply = resolve;
    });
  }, () => filter, () => changes++);
  const answer = async (matching: number): Promise<void> => {
    reply({ count: 1_000_000, matching, looks: [matching, 0, 0, 0, 0, 0], from: asked[asked.length - 1].from, vehicles: [] });
    await vi.advanceTimersByTimeAsync(0);
  };
  return { listing, filter, asked, answer, changes: () => changes };
}

it('asks nothing while the browser holds all vehicles', () => {
  const { listing, asked } = setUp();
  listing.want(0, 20);
  listing.soon();
  vi.advanceTimersByTime(60_000);
  expect(asked).toEqual([]);
});

it('asks for the rows in sight, again and again, and what was typed as soon as the last answer is there', async () => {
  const { listing, filter, asked, answer, changes } = setUp();
  listing.active = true;
  listing.want(0, 20);
  vi.advanceTimersByTime(100);
  expect(asked).toEqual([{ text: '', fleet: null, looks: [], sort: 'name', devices: null, from: 0, limit: 20 }]);
  for (const text of ['b', 'bu', 'bus']) {
    filter.text = text;
    listing.soon();
    vi.advanceTimersByTime(150);
  }
  expect(asked.length).toBe(1);
  await answer(1_000_000);
  vi.advanceTimersByTime(100);
  expect(asked.slice(1).map((r) => r.text)).toEqual(['bus']);
  await answer(7);
  expect([listing.answer.matching, changes()]).toEqual([7, 2]);
  vi.advanceTimersByTime(2_000);
  expect(asked.length).toBe(3);
});

it('forgets the list when the browser holds all vehicles again', async () => {
  const { listing, asked, answer } = setUp();
  listing.active = true;
  vi.advanceTimersByTime(100);
  listing.active = false;
  await answer(5);
  vi.advanceTimersByTime(60_000);
  expect([listing.answer.matching, asked.length]).toEqual([0, 1]);
});

it('makes rows of what the server tells', () => {
  const vehicle = { device: 'd', name: 'Bus', fleet: 'f', look: 3, speed_kmh: null, course_deg: 90, fix_time: 5, lat: 1, lon: 2 };
  const [row] = rowsOf({ count: 1, matching: 1, looks: [0, 0, 0, 1, 0, 0], from: 0, vehicles: [vehicle] });
  expect(row).toEqual({ slot: -1, device: 'd', name: 'Bus', fleet: 'f', look: 3, speedKmh: null, courseDeg: 90, fixTime: 5, lat: 1, lon: 2 });
});

it('lists all that pass, however many pages they fill, and gives up where they are too many to be named', async () => {
  const asked: VehicleListRequest[] = [];
  const serverOf = (matching: number) => (request: VehicleListRequest): Promise<VehicleListAnswer> => {
    asked.push(request);
    const { from, limit } = request;
    const vehicles = Array.from({ length: Math.max(0, Math.min(limit, matching - from)) }, (_, k) =>
      ({ device: `d${from + k}`, name: '', fleet: 'f', look: 0, speed_kmh: null, course_deg: 0, fix_time: 0, lat: 0, lon: 0 }));
    return Promise.resolve({ count: 1_000_000, matching, looks: [matching, 0, 0, 0, 0, 0], from, vehicles });
  };
  const all = await listedOf(serverOf(2_345), EVERYBODY);
  expect([all.length, all[0], all[2_344], asked.length]).toEqual([2_345, 'd0', 'd2344', 3]);
  expect(await listedOf(serverOf(0), EVERYBODY)).toEqual([]);
  asked.length = 0;
  expect((await listedOf(serverOf(1_000_000), EVERYBODY)).length).toBeGreaterThan(NAMED_AT_MOST);
  expect(asked.length).toBe(11);
});
