import { describe, expect, it } from 'vitest';
import { accessOf, differences, sentence } from './change_words';
import { attributeSql, deviceSql } from '../device_filter';
import { SPEED_RGB, speedColour } from '../worker/palette';
import type { AlertEvent, ChangeInfo } from '../wire/types';
import { requestOf, type Part } from './commands';
import { newestFirst } from './device_events';
import { inUnit } from './fence_rules';

describe('a filter by attribute', () => {
  it.each([
    ['power_v<12', "attribute_number(attributes, 'power_v') < 12"],
    ['power_v >= -1.5', "attribute_number(attributes, 'power_v') >= -1.5"],
    ['ignition = TRUE', "lower(attribute_text(attributes, 'ignition')) = 'true'"],
    ["driver!=O'Neil", "lower(attribute_text(attributes, 'driver')) != 'o''neil'"],
    ['io.72', "attribute_text(attributes, 'io.72') IS NOT NULL"],
  ])('%s', (text, sql) => {
    expect(attributeSql(text)).toBe(sql);
  });
  it.each(['', '=', 'a b', 'driver<Jo', "x') OR true --", 'a=', "a'='b"])('%s is none', (text) => {
    expect(attributeSql(text)).toBeNull();
  });
  it('joins the geofence, and asks nothing for nothing', () => {
    expect(deviceSql("a'b", 'speed')).toBe("SELECT device FROM latest_positions WHERE in_geofence(lat, lon, 'a''b') AND attribute_text(attributes, 'speed') IS NOT NULL");
    expect(deviceSql(null, ' ')).toBeNull();
    expect(() => deviceSql(null, 'a b c')).toThrow(/name=value/);
  });
});

describe('a change', () => {
  const change: ChangeInfo = {
    id: '7', at: 0, by: 'user', user: 'anna', via: 'session', access: '01ab', address: '192.0.2.1', doing: null, kind: 'device', thing: 'v7', change: 'put',
    before: { id: 'v7', fleet: 'north', name: 'Van' }, after: { id: 'v7', fleet: 'south', name: 'Truck' },
  };
  it.each<[Partial<ChangeInfo>, string]>([
    [{}, 'anna changed vehicle Truck'],
    [{ before: null }, 'anna added vehicle Truck'],
    [{ change: 'removed', after: null }, 'anna removed vehicle Van'],
    [{ by: 'connectors', user: null, before: null, after: null }, 'A device added vehicle v7'],
    [{ by: 'program', user: null, doing: 'demo', kind: 'tyre' }, 'The program (demo) changed tyre Truck'],
    [{ by: 'nobody', user: null, kind: 'user', thing: 'anna', change: 'sign_in_failed', before: null, after: null }, 'A sign-in as anna failed'],
    [{ kind: 'session', thing: '01ab', change: 'signed_in', before: null, after: { user: 'anna' } }, 'anna signed in'],
  ])('%j', (other, words) => {
    expect(sentence({ ...change, ...other })).toBe(words);
  });
  it('is told by the fields that differ', () => {
    expect(differences(change)).toEqual([{ field: 'fleet', was: 'north', is: 'south' }, { field: 'name', was: 'Van', is: 'Truck' }]);
    expect(differences({ ...change, before: null })).toEqual([{ field: 'fleet', was: null, is: 'south' }]);
    expect(differences({ ...change, after: null })).toEqual([{ field: 'fleet', was: 'north', is: null }]);
    expect(differences({ ...change, before: { rules: { gap_s: 1 } }, after: { rules: { gap_s: 1 } } })).toEqual([]);
    const long = differences({ ...change, before: { shape: { bytes: 5000, sha256: 'ab' } }, after: { shape: 'x'.repeat(100) } });
    expect(long).toEqual([{ field: 'shape', was: expect.stringContaining('(ab)') as string, is: `${'x'.repeat(80)}…` }]);
  });
  it('says how somebody was known', () => {
    expect(accessOf(change)).toBe('session 01ab, 192.0.2.1');
    expect(accessOf({ ...change, via: null, access: null, address: null })).toBe('');
  });
});

it('has a colour for every speed', () => {
  expect([0, 29, 30, 499, 500, 1100, 65_534].map(speedColour)).toEqual([0, 0, 1, 2, 3, 5, 5]);
  expect(speedColour(65_534)).toBe(SPEED_RGB.length - 1);
});

describe('a command', () => {
  const values: Partial<Record<Part, string | boolean>> = { seconds: '60', output: '2', on: true, text: ' getinfo ' };
  it.each([
    ['engine_stop', {}],
    ['report_every', { seconds: 60 }],
    ['set_output', { output: 2, on: true }],
    ['text', { text: 'getinfo' }],
  ] as const)('%s has its own fields and no others', (instruction, fields) => {
    expect(requestOf(instruction, 600, (part) => values[part] ?? '')).toEqual({ instruction, expires_in_s: 600, ...fields });
  });
});

it('lists each event of a vehicle once, as it was told last, newest first', () => {
  const event = (event_id: string, fix_time: number, retracted = false): AlertEvent => ({ event_id, fix_time, retracted } as AlertEvent);
  expect(newestFirst([event('a', 1), event('b', 2)], [event('c', 3), event('a', 1, true)])).toEqual([event('c', 3), event('b', 2), event('a', 1, true)]);
  const many = Array.from({ length: 30 }, (_, n) => event(String(n), n));
  expect(newestFirst(many, []).map(({ event_id }) => event_id)).toEqual(Array.from({ length: 20 }, (_, n) => String(29 - n)));
});

it('shows rules of geofences in the units of the user, and keeps what nobody touched to the last digit', () => {
  const feet = { name: 'ft', of: 0.3048 };
  const { shown, read } = inUnit(20, feet);
  expect([shown, read(shown), read('100'), read(''), read('x')]).toEqual(['65.62', 20, 30.48, undefined, undefined]);
  expect([inUnit(undefined, feet).shown, inUnit(undefined, feet).read('')]).toEqual(['', undefined]);
});
