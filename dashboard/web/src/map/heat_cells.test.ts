import { describe, expect, it } from 'vitest';
import { cellZoom, heatCells, heatShare, heatSql } from './heat_cells';

const query = { from: 0, to: 3_600_000, fleet: null, bounds: { south: 48, north: 49, west: 11, east: 12 }, zoom: 10 };

describe('the heat map', () => {
  it('asks for counts of cells in view and time, never for positions', () => {
    expect(heatSql(query)).toBe(`SELECT tile(lat, lon, 15) AS cell, count(*) AS n FROM positions
WHERE valid AND fix_time BETWEEN '1970-01-01T00:00:00.000Z' AND '1970-01-01T01:00:00.000Z'
AND lat BETWEEN 48.00000 AND 49.00000 AND lon BETWEEN 11.00000 AND 12.00000
GROUP BY cell`);
    expect(heatSql({ ...query, fleet: "o'hara" })).toContain("AND fleet = 'o''hara'");
  });
  it('spans the 180th meridian, and the whole world', () => {
    expect(heatSql({ ...query, bounds: { ...query.bounds, west: 170, east: -170 } })).toContain('(lon >= 170.00000 OR lon <= -170.00000)');
    expect(heatSql({ ...query, bounds: { ...query.bounds, west: -180, east: 180 } })).not.toContain('AND lon ');
  });
  it('takes cells of the zoom it asked for and leaves out what is none', () => {
    expect(heatCells([['15/1/2', 7], ['14/1/2', 9], ['nonsense', 1], [null, 1], ['15/3/4', 0]], 15)).toEqual({ zoom: 15, cells: [{ x: 1, y: 2, count: 7 }], most: 7 });
    expect(heatCells([], 15).most).toBe(0);
  });
  it('has cells of 8 px, down to a metre', () => {
    expect([cellZoom(3), cellZoom(10.4), cellZoom(20)]).toEqual([8, 15, 22]);
  });
  it('shows one report, and a thousand times as many no thousand times as hot', () => {
    expect(heatShare(1, 1)).toBe(1);
    expect(heatShare(1, 1000)).toBeCloseTo(0.15);
    expect(heatShare(1000, 1000)).toBeCloseTo(1);
    expect(heatShare(32, 1000)).toBeGreaterThan(0.5);
  });
});
