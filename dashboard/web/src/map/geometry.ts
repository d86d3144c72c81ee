/** Lengths and areas on the sphere. */

export interface Place { lat: number; lng: number }

/** Mean radius, m. */
const EARTH_M = 6_371_008.8;
const radians = (degrees: number): number => (degrees * Math.PI) / 180;

/** Along the great circle, m. */
export function distanceM(a: Place, b: Place): number {
  const sin2 = (angle: number): number => Math.sin(angle / 2) ** 2;
  const h = sin2(radians(b.lat - a.lat)) + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * sin2(radians(b.lng - a.lng));
  return 2 * EARTH_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

export const lengthM = (line: readonly Place[]): number => line.reduce((sum, p, i) => (i === 0 ? 0 : sum + distanceM(line[i - 1], p)), 0);

/** Inside the ring (closed by itself), m². Exact where its sides follow a rhumb line on the equal-area map, near enough for a yard or a city. */
export function areaM2(ring: readonly Place[]): number {
  let sum = 0;
  ring.forEach((p, i) => {
    const q = ring[(i + 1) % ring.length];
    sum += radians(q.lng - p.lng) * (Math.sin(radians(p.lat)) + Math.sin(radians(q.lat)));
  });
  return Math.abs((sum * EARTH_M ** 2) / 2);
}
