/** Tracks as KML, for globes. */

import type { PositionInfo } from '../wire/types';

const escape = (text: string): string => text.replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** One `gx:Track` a vehicle; positions in order of time. Untrusted fixes are left out. */
export function kml(tracks: readonly { name: string; positions: readonly PositionInfo[] }[]): string {
  const marks = tracks.map(({ name, positions }) => {
    const valid = positions.filter((p) => p.valid);
    return `<Placemark><name>${escape(name)}</name><gx:Track><altitudeMode>clampToGround</altitudeMode>
${valid.map((p) => `<when>${new Date(p.fix_time).toISOString()}</when>`).join('\n')}
${valid.map((p) => `<gx:coord>${p.lon} ${p.lat} ${p.altitude_m ?? 0}</gx:coord>`).join('\n')}
</gx:Track></Placemark>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"><Document>
${marks.join('\n')}
</Document></kml>
`;
}
