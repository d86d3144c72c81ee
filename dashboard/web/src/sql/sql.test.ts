import { describe, expect, it } from 'vitest';
import { cell, chartOf, numericColumns, placesOf, weightOf } from './answer';
import { faultSpan } from './fault';
import { schemaOf } from './schema';
import { newest, newestSql, toldOf } from './newest';

const columns = (...list: [name: string, type: string][]): { name: string; type: string }[] => list.map(([name, type]) => ({ name, type }));
const TIME = 'Timestamp(ms, "UTC")';

it('shows values as text', () => {
  expect([cell(null), cell(0), cell(false), cell({ a: 1 }), cell('x')]).toEqual(['', '0', 'false', '{"a":1}', 'x']);
  expect(numericColumns(columns(['a', 'Int64'], ['b', 'Utf8View'], ['c', 'Interval(DayTime)'], ['d', 'Float64']))).toEqual([true, false, false, true]);
});

describe('a chart', () => {
  it('has the times in order, each once, and a line for each number', () => {
    const data = chartOf({ columns: columns(['t', TIME], ['n', 'Int64'], ['m', 'Float64']), rows: [['2026-01-01T00:01:00Z', 2, null], ['2026-01-01T00:00:00Z', 1, 0.5]] });
    expect(data).toEqual({ x: [1_767_225_600, 1_767_225_660], lines: [{ label: 'n', values: [1, 2] }, { label: 'm', values: [0.5, null] }] });
  });
  it('has a line for each of a few names, and takes times without a zone for UTC', () => {
    const data = chartOf({
      columns: columns(['t', 'Timestamp(ns)'], ['device', 'Utf8'], ['n', 'Int64']),
      rows: [['2026-01-01T00:00:00', 'a', 1], ['2026-01-01T00:00:00', 'b', 2], ['2026-01-01T00:01:00', 'b', 3]],
    });
    expect(data).toEqual({ x: [1_767_225_600, 1_767_225_660], lines: [{ label: 'a', values: [1, null] }, { label: 'b', values: [2, 3] }] });
  });
  it('does not draw where something is as a line', () => {
    const data = chartOf({ columns: columns(['t', TIME], ['lat', 'Float64'], ['lon', 'Float64'], ['kmh', 'Float64']), rows: [['2026-01-01T00:00:00Z', 1, 2, 3]] });
    expect(data?.lines.map((l) => l.label)).toEqual(['kmh']);
  });
  it('needs a time and a number', () => {
    expect(chartOf({ columns: columns(['n', 'Int64']), rows: [[1]] })).toBeNull();
    expect(chartOf({ columns: columns(['t', TIME]), rows: [['2026-01-01T00:00:00Z']] })).toBeNull();
    expect(chartOf({ columns: columns(['t', TIME], ['n', 'Int64']), rows: [] })).toBeNull();
  });
});

it('finds where rows are, and what colours them', () => {
  const cols = columns(['device', 'Utf8'], ['end_lat', 'Float64'], ['end_lon', 'Float64'], ['km', 'Float64']);
  expect(placesOf({ columns: cols, rows: [] })).toEqual({ lat: 1, lon: 2 });
  expect(weightOf(cols, { lat: 1, lon: 2 })).toBe(3);
  expect(placesOf({ columns: columns(['lat', 'Utf8'], ['lon', 'Utf8']), rows: [] })).toBeNull();
  expect(placesOf({ columns: columns(['lat', 'Float64'], ['end_lon', 'Float64']), rows: [] })).toBeNull();
});

describe('the place of a fault', () => {
  const marked = (query: string, message: string): string | null => {
    const span = faultSpan(query, message);
    return span && query.slice(span.from, span.to);
  };
  it('is the line and column that the parser tells', () => {
    expect(marked('SELECT a\nFORM positions', 'Expected: end of statement, found: positions (line 2, column 6)')).toBe('positions');
    expect(faultSpan('SELECT', 'Expected: an expression, found: EOF at Line: 9, Column: 99')).toEqual({ from: 6, to: 6 });
  });
  it('is where an unknown name stands', () => {
    expect(marked('SELECT nonsense FROM positions', 'Schema error: No field named nonsense. Valid fields are positions.device.')).toBe('nonsense');
    expect(marked('SELECT p.bad FROM positions p', 'No field named p.bad.')).toBe('bad');
    expect(marked('SELECT 1 FROM nowhere', "table 'datafusion.public.nowhere' not found")).toBe('nowhere');
    expect(marked('SELECT frob(1)', "Invalid function 'frob'.")).toBe('frob');
  });
  it('is nowhere when nothing is told', () => {
    expect(faultSpan('SELECT 1', 'the query took too long')).toBeNull();
    expect(faultSpan('SELECT 1', 'No field named (((.')).toBeNull();
  });
});

it('makes one entry a function of its many types', () => {
  const schema = schemaOf([['positions', 'lat'], ['positions', 'lon'], ['trips', 'device']], [['abs', null, null], ['abs', 'abs(x)', 'without its sign'], ['now', 'now()', 'the time']]);
  expect(schema).toEqual({
    tables: { positions: ['lat', 'lon'], trips: ['device'] },
    functions: [{ name: 'abs', signature: 'abs(x)', about: 'without its sign' }, { name: 'now', signature: 'now()', about: 'the time' }],
  });
});

describe('what a device told last under each name', () => {
  it('is asked for as the newest of each kind of packet', () => {
    const sql = newestSql("o'n", 0, 1000);
    expect(sql).toContain("FROM positions WHERE device = 'o''n' AND fix_time > '1970-01-01T00:00:00.000Z' AND fix_time <= '1970-01-01T00:00:01.000Z')");
    expect(newestSql('a', 0, null)).not.toContain('<=');
  });
  it('tells kinds of packets apart by the names in their JSON, whatever their values are', () => {
    const [, pattern] = /regexp_replace\(attributes, '(.*)', '"', 'g'\)/.exec(newestSql('a', 0, null)) ?? [];
    const names = (attributes: object): string => JSON.stringify(attributes).replace(new RegExp(pattern, 'g'), '"');
    expect(names({ ignition: true, note: 'a "b": {1}, c' })).toBe('{"ignition","note"}');
    expect(names({ ignition: false, note: '\\' })).toBe('{"ignition","note"}');
    expect(names({ 'a:b': -1.5e3 })).toBe('{"a:b"}');
    expect(names({})).toBe('{}');
  });
  it('is kept from older packets where newer ones lack it, and never taken back by late ones', () => {
    const told = toldOf([
      ['1970-01-01T00:00:02.000Z', '{"power_v":12.5}'], ['1970-01-01T00:00:01.000Z', '{"power_v":11,"note":"x"}'], ['1970-01-01T00:00:03.000Z', '{}'],
    ]);
    const known = newest(new Map(), told);
    expect(Object.fromEntries(known)).toEqual({ power_v: { value: 12.5, at: 2000 }, note: { value: 'x', at: 1000 } });
    expect(newest(known, [{ at: 1500, attributes: { note: 'y', power_v: 1 } }]).get('power_v')).toEqual({ value: 12.5, at: 2000 });
  });
});
