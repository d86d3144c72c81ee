/** Colours of a quantity, from little to much: by lightness too, for who can't tell hues. */

const STOPS: readonly (readonly [number, number, number])[] = [[49, 54, 149], [69, 138, 191], [120, 198, 166], [250, 200, 90], [230, 80, 48], [165, 0, 38]];

/** Of a share between 0 and 1. */
export function rampRgb(share: number): [number, number, number] {
  const at = Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0)) * (STOPS.length - 1);
  const i = Math.min(STOPS.length - 2, Math.floor(at));
  const mix = (k: 0 | 1 | 2): number => Math.round(STOPS[i][k] + (STOPS[i + 1][k] - STOPS[i][k]) * (at - i));
  return [mix(0), mix(1), mix(2)];
}

export const ramp = (share: number): string => `rgb(${rampRgb(share).join(' ')})`;

/** For a legend. */
export const RAMP_CSS = `linear-gradient(to right, ${STOPS.map((rgb) => `rgb(${rgb.join(' ')})`).join(', ')})`;
