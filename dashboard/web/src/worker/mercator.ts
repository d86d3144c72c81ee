/** Web Mercator on the unit square: x grows east, y grows south, (0.5, 0.5) is 0°N 0°E. */

export const EARTH_CIRCUMFERENCE_M = 40075016.686;
const RADIANS = Math.PI / 180;
/** Where the square ends. */
const MAX_LAT = 85.0511287798;

export const mercatorX = (lon: number): number => lon / 360 + 0.5;

export function mercatorY(lat: number): number {
  const sine = Math.sin(Math.max(-MAX_LAT, Math.min(MAX_LAT, lat)) * RADIANS);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}

export const lonOf = (x: number): number => (x - 0.5) * 360;
export const latOf = (y: number): number => Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) / RADIANS;

/** Mercator units a metre at this latitude. */
export const unitsPerMetre = (lat: number): number => 1 / (EARTH_CIRCUMFERENCE_M * Math.cos(lat * RADIANS));
