import { expect, it } from 'vitest';
import { Directory } from './directory';
import { Fleet, Look } from './fleet';
import { Roster } from './roster';

const STATUS = { moving: 7, idle: 5, alarm: 0x47 };

/** Vehicles given as [name, fleet, status, speed in km/h, fix time]. */
function setUp(vehicles: [string, string, number, number, number][]): { directory: Directory; refresh: () => string[]; fleet: Fleet; roster: Roster } {
  const fleet = new Fleet();
  const roster = new Roster();
  const directory = new Directory();
  const n = vehicles.length;
  fleet.n = fleet.count = n;
  fleet.present = new Uint8Array(n).fill(1);
  fleet.shown = new Uint8Array(n);
  fleet.look = Uint8Array.from(vehicles, (v) => (v[2] === STATUS.alarm ? Look.Alarm : v[2] === STATUS.moving ? Look.Moving : Look.Idle));
  fleet.speed = Uint16Array.from(vehicles, (v) => v[3] * 10);
  fleet.fix = Float64Array.from(vehicles, (v) => v[4]);
  roster.add(vehicles.map(([name, group], i) => [i, `id-${i}`, name, group]));
  const refresh = (): string[] => {
    directory.refresh(fleet, roster);
    return Array.from(directory.order.slice(0, n), (slot) => roster.name(slot));
  };
  return { directory, refresh, fleet, roster };
}

const SOME: [string, string, number, number, number][] = [
  ['Bus 12', 'day', STATUS.idle, 0, 3000], ['Bus 7', 'night', STATUS.moving, 40, 1000], ['Van 1', 'day', STATUS.alarm, 20, 2000],
];

it('orders by name with numbers by value, by status, speed and age', () => {
  const { directory, refresh } = setUp(SOME);
  const sorted = (sort: typeof directory.filter.sort): string[] => {
    directory.filter = { ...directory.filter, sort };
    return refresh();
  };
  expect(sorted('name')).toEqual(['Bus 7', 'Bus 12', 'Van 1']);
  expect(sorted('status')).toEqual(['Van 1', 'Bus 7', 'Bus 12']);
  expect(sorted('speed')).toEqual(['Bus 7', 'Van 1', 'Bus 12']);
  expect(sorted('age')).toEqual(['Bus 12', 'Van 1', 'Bus 7']);
});

it('finds by name and id, whatever the case, and marks only those as shown', () => {
  const { directory, refresh, fleet } = setUp(SOME);
  directory.filter = { ...directory.filter, text: ' bus ' };
  expect(refresh()).toEqual(['Bus 7', 'Bus 12']);
  expect([...fleet.shown]).toEqual([1, 1, 0]);
  directory.filter = { ...directory.filter, text: 'ID-2' };
  expect(refresh()).toEqual(['Van 1']);
});

it('filters by fleet and look, and counts looks before the look filter', () => {
  const { directory, refresh } = setUp(SOME);
  directory.filter = { ...directory.filter, fleet: 'day', looks: [Look.Alarm] };
  expect(refresh()).toEqual(['Van 1']);
  expect(directory.looks[Look.Idle]).toBe(1);
  expect(directory.looks[Look.Moving]).toBe(0);
});

it('shows a new name at once and lists nobody who is gone', () => {
  const { refresh, roster, fleet } = setUp(SOME);
  roster.rename('id-2', 'Aardvark', 'day');
  expect(refresh()[0]).toBe('Aardvark');
  fleet.present[2] = 0;
  expect(refresh()).toEqual(['Bus 7', 'Bus 12']);
});

it('orders 100,000 vehicles to the last, each once', () => {
  const MANY = 100_000;
  const { directory, fleet, roster } = setUp(Array.from({ length: MANY }, (_, i) => [
    // Neither by slot nor by chance.
    `Bus ${(i * 7919) % MANY}`, i % 2 === 0 ? 'day' : 'night', i % 10 === 0 ? STATUS.alarm : STATUS.moving, (i * 31) % 140, 1_000_000 - ((i * 977) % MANY) * 1000,
  ]));
  const listed = (filter: Partial<typeof directory.filter>): number[] => {
    directory.filter = { ...directory.filter, ...filter };
    directory.refresh(fleet, roster);
    return Array.from(directory.order.slice(0, MANY));
  };
  const STATUS_RANK: Record<number, number> = { [Look.Alarm]: 0, [Look.Moving]: 1 };
  for (const [sort, key] of [
    ['name', (slot: number) => Number(roster.name(slot).slice(4))], ['speed', (slot: number) => -fleet.speed[slot]],
    ['age', (slot: number) => -fleet.fix[slot]], ['status', (slot: number) => STATUS_RANK[fleet.look[slot]]],
  ] as const) {
    const order = listed({ sort });
    expect(new Set(order).size, sort).toBe(MANY);
    expect(order.findIndex((slot, i) => i > 0 && key(order[i - 1]) > key(slot)), sort).toBe(-1);
  }
  // The rows in sight at the end of the list.
  listed({ sort: 'name' });
  expect(Array.from(directory.order.slice(MANY - 2, MANY + 20), (slot) => roster.name(slot))).toEqual(['Bus 99998', 'Bus 99999']);
  expect(listed({ fleet: 'night', looks: [Look.Alarm] })).toEqual([]);
  expect(listed({ fleet: 'day', looks: [Look.Alarm] }).length).toBe(MANY / 10);
});
