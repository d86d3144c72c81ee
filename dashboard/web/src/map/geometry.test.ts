import { describe, expect, it } from 'vitest';
import { areaM2, distanceM, lengthM } from './geometry';

const at = (lat: number, lng: number): { lat: number; lng: number } => ({ lat, lng });

describe('lengths and areas on the sphere', () => {
  it('a quarter of a meridian is a quarter of a great circle', () => {
    expect(distanceM(at(0, 0), at(90, 0))).toBeCloseTo((Math.PI / 2) * 6_371_008.8, 0);
    expect(distanceM(at(52.5, 13.4), at(52.5, 13.4))).toBe(0);
  });
  it('goes the short way over the 180th meridian', () => {
    expect(distanceM(at(0, 179.5), at(0, -179.5))).toBeCloseTo(distanceM(at(0, 0), at(0, 1)), 3);
  });
  it('adds up the stretches of a line', () => {
    expect(lengthM([])).toBe(0);
    expect(lengthM([at(0, 0), at(0, 1), at(0, 2)])).toBeCloseTo(distanceM(at(0, 0), at(0, 2)), 3);
  });
  it('an eighth of the sphere has an eighth of its area, however it is walked', () => {
    const octant = [at(0, 0), at(0, 90), at(90, 90), at(90, 0)];
    expect(areaM2(octant) / ((4 * Math.PI * 6_371_008.8 ** 2) / 8)).toBeCloseTo(1, 9);
    expect(areaM2([...octant].reverse())).toBeCloseTo(areaM2(octant), 0);
    expect(areaM2([at(0, 0), at(0, 1)])).toBe(0);
  });
  it('knows the area of a field', () => {
    // 100 m by 200 m at 48 degrees north.
    const dLat = 100 / 111_195, dLng = 200 / (111_195 * Math.cos((48 * Math.PI) / 180));
    expect(areaM2([at(48, 11), at(48, 11 + dLng), at(48 + dLat, 11 + dLng), at(48 + dLat, 11)])).toBeCloseTo(20_000, -1);
  });
});
