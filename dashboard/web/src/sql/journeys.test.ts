import { afterEach, expect, it } from 'vitest';
import { configure, durationText } from '../format';
import { journeyCell, journeySql, journeysOf, type JourneyQuery } from './journeys';

afterEach(() => configure({ units: 'metric', timeZone: null }));

const QUERY: JourneyQuery = { kind: 'stops', from: 0, to: 60_000, fleet: null, vehicle: ' ', sort: 'started_at', descending: true, limit: 10 };

it('asks for what was under way in the range, with names', () => {
  expect(journeySql(QUERY)).toBe(`SELECT j.device, coalesce(d.name, j.device) AS vehicle, coalesce(f.name, j.fleet) AS fleet_name, j.started_at, j.ended_at, j.duration_s, j.idle_s, j.lat, j.lon
FROM stops j LEFT JOIN devices d ON d.device = j.device LEFT JOIN fleets f ON f.fleet = j.fleet
WHERE j.started_at < '1970-01-01T00:01:00.000Z' AND (j.ended_at > '1970-01-01T00:00:00.000Z' OR j.ended_at IS NULL)
ORDER BY j.started_at DESC NULLS LAST, j.started_at DESC, j.device LIMIT 10`);
});

it('asks for one fleet and for a vehicle by a part of its name, all of them in the order that is wanted', () => {
  const sql = journeySql({ ...QUERY, kind: 'trips', fleet: "o'n", vehicle: "Van '7", sort: 'vehicle', descending: false, limit: null });
  expect(sql).toContain("AND j.fleet = 'o''n' AND (strpos(lower(j.device), 'van ''7') > 0 OR strpos(lower(d.name), 'van ''7') > 0)");
  expect(sql).toMatch(/FROM trips j .*\nWHERE .*\nORDER BY vehicle ASC NULLS LAST, j\.started_at DESC, j\.device$/);
});

it('reads trips and stops, of which some go on and some were nowhere', () => {
  const columns = ['device', 'vehicle', 'started_at', 'ended_at', 'start_lat', 'start_lon', 'end_lat', 'end_lon'].map((name) => ({ name }));
  const [done, open] = journeysOf({ columns, rows: [
    ['a', 'Van', '1970-01-01T00:00:01.000Z', '1970-01-01T00:00:02.000Z', 48, 11, 49, 12], ['b', 'Bus', '1970-01-01T00:00:03.000Z', null, null, null, null, null],
  ] });
  expect(done).toMatchObject({ device: 'a', from: 1000, to: 2000, place: { lat: 48, lon: 11 }, end: { lat: 49, lon: 12 } });
  expect(open).toMatchObject({ device: 'b', from: 3000, to: null, place: null, end: null });
});

it('shows figures in the units of the user', () => {
  configure({ units: 'imperial', timeZone: 'UTC' });
  expect(journeyCell('distance_m', 16_093.44)).toEqual({ text: '10.0 mi', title: '' });
  expect(journeyCell('max_speed_mps', 44.704)).toEqual({ text: '100 mph', title: '' });
  expect(journeyCell('ended_at', null).text).toBe('goes on');
  expect(journeyCell('idle_s', null).text).toBe('–');
  expect(journeyCell('started_at', '1970-01-01T10:00:00.000Z')).toEqual({ text: expect.stringContaining('10:00:00') as string, title: '1970-01-01 10:00:00 UTC' });
});

it.each([[0, '0 s'], [29, '29 s'], [60, '1 min'], [3599, '1 h 0 min'], [4000, '1 h 7 min'], [90_000, '25 h 0 min']])('%i seconds are %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text);
});
