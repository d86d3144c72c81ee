import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, type Address, type AskedReplay } from './address';
import { NO_FILTER } from './panels/feed';
import { NEWEST } from './sql/journeys';
import { addressOf } from './follow_address';
import type { State } from './state';

const past: AskedReplay = { devices: ['a/b &c'], fleet: null, from: 1000, to: 2000, at: 1500, speed: 0.25 };
const all: Address = {
  view: { zoom: 12, lat: 48.1, lon: -11.5 }, panel: 'sql', device: 'a/b &c', query: 'SELECT 1 -- ?#', sqlView: 'map',
  filter: { text: 'bus 7', fleet: 'north', looks: [0, 5], sort: 'speed', fence: 'f1', attribute: 'power_v<12' },
  replay: past, heat: { from: 5, to: 7, fleet: 'north & south' }, alerts: { kind: 'enter', text: 'gate & yard', fleet: 'north', device: 'bus 1', status: 'open', from: 8, to: 9 },
  journeys: { kind: 'stops', from: 10, to: 12, fleet: 'north & south', vehicle: 'WX 1', sort: 'idle_s', descending: false }, options: { colouring: 'speed', grouping: 'never' },
};
const bare: Address = {
  view: null, panel: null, device: null, query: null, sqlView: 'table', filter: {}, replay: null, heat: null, alerts: NO_FILTER, journeys: NEWEST, options: {},
};

describe('the address of a view', () => {
  it('tells the same to who opens it', () => {
    expect(parseAddress(formatAddress(all))).toEqual(all);
    expect(parseAddress(formatAddress(bare))).toEqual(bare);
  });
  it.each<[string, AskedReplay]>([
    ['all vehicles', { ...past, devices: null }],
    ['a fleet', { ...past, devices: null, fleet: 'north' }],
    ['a list', { ...past, devices: ['a', 'b,c', 'd&e'], at: null, speed: null }],
  ])('tells the replay of %s', (_, replay) => {
    expect(parseAddress(formatAddress({ ...all, replay })).replay).toEqual(replay);
  });
  it('leaves a replay out that names more vehicles than fit', () => {
    const devices = Array.from({ length: 101 }, (_, n) => String(n));
    expect(parseAddress(formatAddress({ ...all, replay: { ...past, devices } })).replay).toBeNull();
  });
  it('still reads addresses that are only a place, or of a replay without its moment', () => {
    expect(parseAddress('#7/51.2/10.2')).toMatchObject({ view: { zoom: 7, lat: 51.2, lon: 10.2 }, panel: undefined, device: null });
    expect(parseAddress('#7/51/10?panel=replay&replay=a&from=5&to=9&at=11').replay).toEqual({ devices: ['a'], fleet: null, from: 5, to: 9, at: null, speed: null });
  });
  it.each([
    '', '#', '#x/y/z', '#99/0/0', '#7/91/0', '#7/51', '#?panel=nonsense&status=odd&sort=up&replay=a&from=5&to=1', '#7/51/10/3?',
    '#?heat=9-5&alerts=party&alerts_status=odd&alerts_from=then&colour=pink&group=some&sql_view=pie&replay_fleet=f', '#?from=1&to=2&heat=x',
    '#?trips=walks&trips_range=9-5&trips_sort=-beauty', '#?trips_range=5',
  ])('takes nothing from %s that is nothing', (hash) => {
    expect(parseAddress(hash)).toEqual({ ...bare, panel: undefined });
  });
  it('orders a table only by what it has', () => {
    expect(parseAddress('#?trips=stops&trips_sort=-distance_m').journeys).toEqual({ ...NEWEST, kind: 'stops' });
    expect(parseAddress('#?trips_sort=-distance_m').journeys).toEqual({ ...NEWEST, sort: 'distance_m' });
    expect(parseAddress('#?trips_sort=started_at').journeys).toEqual({ ...NEWEST, descending: false });
  });
  it('says no range that is none', () => {
    for (const [from, to] of [[5, 5], [9, 5], [Number.NaN, 5], [5, Number.NaN]]) {
      expect(parseAddress(formatAddress({ ...bare, journeys: { ...NEWEST, from, to } })).journeys).toEqual(NEWEST);
    }
  });
  it('follows what is shown', () => {
    const replay = { asked: { devices: null, fleet: 'north' }, from: 1000.4, to: 2000, at: 1500.6, speed: 10 };
    const state = { panel: null, selected: null, filter: {}, replay, heat: null, alertFilter: { ...NO_FILTER, kind: '!' }, journeyFilter: { ...NEWEST, vehicle: 'bus' }, options: { colouring: 'status', grouping: 'auto' }, query: null, sqlView: 'table' } as unknown as State;
    expect(parseAddress(formatAddress(addressOf(state, { zoom: 3, lat: 1, lon: 2 })))).toEqual({
      ...bare, view: { zoom: 3, lat: 1, lon: 2 }, replay: { devices: null, fleet: 'north', from: 1000, to: 2000, at: 1501, speed: 10 },
      alerts: { ...NO_FILTER, kind: '!' }, journeys: { ...NEWEST, vehicle: 'bus' }, options: { colouring: 'status', grouping: 'auto' },
    });
  });
});
