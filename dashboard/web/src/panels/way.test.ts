import { describe, expect, it } from 'vitest';
import { fixBeforeSql } from './stepping';
import { runs, speedAt, speedSql, standsAt, stepOf, stopsSql, wayOf } from './way';

const AT = Date.parse('2026-01-01T00:00:00Z');
const HOUR = 3_600_000;
const span = { from: AT, to: AT + HOUR };
const iso = (ms: number): string => new Date(ms).toISOString();

describe('the way of a replayed vehicle', () => {
  it('is asked for in as many steps as can be seen', () => {
    expect([1_000, HOUR, 24 * HOUR].map((ms) => stepOf({ from: AT, to: AT + ms }))).toEqual([1_000, 6_000, 144_000]);
    expect(speedSql("o'7", span)).toContain("INTERVAL '6 seconds'");
    expect(speedSql("o'7", span)).toContain("device = 'o''7'");
    expect(stopsSql('a', span)).toContain("started_at <= '2026-01-01T01:00:00.000Z'");
  });

  it('keeps stops inside the time of the replay, and those that go on', () => {
    const stops = [[iso(AT - HOUR), iso(AT + 1_000)], [iso(AT + 60_000), null], [null, iso(AT + 5_000)], [iso(AT - 2 * HOUR), iso(AT - HOUR)]];
    const way = wayOf([], stops, span);
    expect(way.stops).toEqual([{ from: AT, to: AT + 1_000 }, { from: AT + 60_000, to: AT + HOUR }]);
    expect([AT + 500, AT + 2_000, AT + HOUR].map((at) => standsAt(way, at))).toEqual([true, false, true]);
  });

  it('knows the speed of a moment, and has a hole where nothing was reported', () => {
    const way = wayOf([[iso(AT), 10], [iso(AT + 6_000), null], [iso(AT + 12_000), 12], [iso(AT + 12_000 + 6 * 60_000), 3]], [], span);
    expect([AT, AT + 5_999, AT + 6_000, AT + 13_000, AT - 1].map((at) => speedAt(way, at))).toEqual([10, 10, null, 12, null]);
    expect(runs(way).map((part) => part.map(({ mps }) => mps))).toEqual([[10, 12], [3]]);
  });
});

it('asks for the fix before a moment, of the vehicles that are replayed', () => {
  expect(fixBeforeSql(span, AT + 1_000.4, ["o'7", 'b'])).toBe("SELECT max(fix_time) FROM positions WHERE valid AND fix_time >= '2026-01-01T00:00:00.000Z' AND fix_time < '2026-01-01T00:00:01.001Z' AND device IN ('o''7', 'b')");
  expect(fixBeforeSql(span, AT, [])).not.toContain('device');
});
