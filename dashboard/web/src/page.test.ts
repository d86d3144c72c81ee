import { afterEach, describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import type { Topology } from 'topojson-specification';
import { address } from './api';
import { age, areaText, attribute, configure, course, fromLocalInput, lengthText, speedText, time, toLocalInput, utc } from './format';
import { earthOf, tileBox, unwrap } from './map/outlines';
import { Store, type State } from './state';
import { stepped, withHoles } from './ui/chart';

describe('numbers as people read them', () => {
  it.each([[0, 'now'], [4_400, '4 s'], [99_000, '99 s'], [150_000, '3 min'], [7_200_000, '2 h'], [10 * 86_400_000, '10 d']])('%i ms is %s', (ms, text) => {
    expect(age(ms)).toBe(text);
  });
  it('takes the unit of an attribute from its name', () => {
    expect(attribute('power_v', 12.6)).toEqual({ label: 'Power', text: '12.6 V' });
    expect(attribute('odometer_m', 36_049_972).text).toBe('36,050 km');
    expect(attribute('ignition', true)).toEqual({ label: 'Ignition', text: 'yes' });
    expect(attribute('io.72', 214)).toEqual({ label: 'Io.72', text: '214' });
    // A text is never a measurement.
    expect(attribute('mode_s', 'eco').text).toBe('eco');
  });
  it('names courses and distances', () => {
    expect(course(0)).toBe('N 0°');
    expect(course(359.7)).toBe('N 0°');
    expect(course(226)).toBe('SW 226°');
    expect(lengthText(999)).toBe('999 m');
    expect(lengthText(1500)).toBe('1.50 km');
  });
  it('gives UTC for any time, and nothing for none', () => {
    expect(utc(1_750_000_000_000)).toBe('2025-06-15 15:06:40 UTC');
    expect(utc(1_750_000_000_250)).toBe('2025-06-15 15:06:40.250 UTC');
    expect(utc(Number.NaN)).toBe('');
  });
});

describe('figures and times as this user reads them', () => {
  afterEach(() => configure({ units: 'metric', timeZone: null }));
  it.each([
    ['metric', '100 km/h', '999 m', '20.0 km', '4.00 km²'],
    ['imperial', '62 mph', '0.62 mi', '12.4 mi', '1.54 mi²'],
    ['nautical', '54 kn', '999 m', '10.8 nmi', '4.00 km²'],
  ] as const)('%s', (units, speed, near, far, area) => {
    configure({ units, timeZone: null });
    expect([speedText(100), lengthText(999), lengthText(20_000), areaText(4e6)]).toEqual([speed, near, far, area]);
    expect(speedText(null)).toBe('–');
  });
  it.each(['Asia/Kolkata', 'America/St_Johns', 'Europe/Warsaw', 'UTC'])('in %s a moment is entered as it is shown', (timeZone) => {
    configure({ units: 'metric', timeZone });
    for (const ms of [Date.UTC(2026, 2, 29, 0, 59, 59), Date.UTC(2026, 2, 29, 1, 0, 1), Date.UTC(2026, 9, 25, 3), Date.UTC(2026, 6, 1, 12, 34, 56)]) {
      expect(fromLocalInput(toLocalInput(ms))).toBe(ms);
    }
    expect(fromLocalInput('')).toBeNaN();
  });
  it('shows the date where the day is another in that zone', () => {
    const noon = Date.UTC(2026, 6, 1, 20);
    configure({ units: 'metric', timeZone: 'Asia/Tokyo' });
    expect(toLocalInput(noon)).toBe('2026-07-02T05:00:00');
    expect(time(noon, noon)).toBe('05:00:00');
    expect(time(noon, noon + 86_400_000)).toMatch(/2.*05:00:00/);
  });
});

it('writes addresses with only the given parts, encoded', () => {
  expect(address('events', { after: 'a/b', from: undefined, limit: 5 })).toBe('api/events?after=a%2Fb&limit=5');
  expect(address('config')).toBe('api/config');
});

it('tells subscribers of their keys only', () => {
  const store = new Store({ panel: null, follow: false } as State);
  const heard: (string | null)[] = [];
  const stop = store.on(['panel'], ({ panel }) => heard.push(panel));
  store.set({ follow: true });
  store.set({ panel: 'sql' });
  store.set({ panel: 'sql' });
  stop();
  store.set({ panel: null });
  expect(heard).toEqual([null, 'sql']);
});

it('leaves holes in the chart where nothing was reported', () => {
  const { x, lines } = withHoles([{ t: 0, v: 0 }, { t: 60_000, v: 10 }, { t: 1_000_000, v: 5 }]);
  expect(x).toEqual([0, 60, 60.001, 1000]);
  expect(lines[0].values).toEqual([0, 10, null, 5]);
  // Keys lead over the hole, both ways, and no further than the ends.
  expect([[1, 1], [3, -1], [3, 10], [1, -10]].map(([from, by]) => stepped(lines[0].values, from, by))).toEqual([3, 1, 3, 0]);
});

describe('the coastlines', () => {
  const topology = JSON.parse(readFileSync(new URL('../node_modules/world-atlas/countries-50m.json', import.meta.url), 'utf8')) as Topology;
  const earth = earthOf(topology);

  it('cross the 180th meridian without a line round the world', () => {
    let longest = 0;
    for (const path of [...earth.areas.flat(), ...earth.borders]) {
      // The two last steps of a ring round a pole run along the edge of the map.
      const end = path.points.length - (path.box[1] <= 0 || path.box[3] >= 1 ? 6 : 2);
      for (let i = 0; i < end; i += 2) longest = Math.max(longest, Math.abs(path.points[i + 2] - path.points[i]));
    }
    expect(earth.areas.length).toBeGreaterThan(1000);
    expect(longest).toBeLessThan(0.1);
  });

  it('are cut into tiles that cover the world once, whatever their size', () => {
    expect(tileBox({ x: 0, y: 0, z: 0 }, 256)).toEqual({ box: [0, 0, 1, 1], tiles: 1 });
    // Two tiles of 512 px lie beside each other where there are four of 256.
    expect(tileBox({ x: 1, y: 0, z: 2 }, 512)).toEqual({ box: [0.5, 0, 1, 0.5], tiles: 2 });
    expect(tileBox({ x: 1, y: 0, z: 2 }, 512).box.slice(0, 2)).toEqual(tileBox({ x: 2, y: 0, z: 2 }, 256).box.slice(0, 2));
    // Beyond the 180th meridian.
    expect(tileBox({ x: -1, y: 0, z: 2 }, 512).box).toEqual([-0.5, 0, 0, 0.5]);
  });

  it('close a ring round the south pole along the edge', () => {
    const ring = unwrap([[-180, -70], [-90, -75], [0, -70], [90, -75], [180, -70], [-180, -70]]);
    expect(ring.box[3]).toBe(1);
    expect(ring.box[2] - ring.box[0]).toBeCloseTo(1, 6);
  });
});
