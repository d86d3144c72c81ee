import { expect, it } from 'vitest';
import type { GeofenceFeature } from '../wire/types';
import { grouped, isShown, readHidden, writeHidden } from './fence_groups';

const fence = (name: string, group?: string): GeofenceFeature => ({
  type: 'Feature', geometry: { type: 'Point', coordinates: [21, 52] },
  properties: { id: name, name, fleet: null, colour: null, version: 1, radius_m: 50, ...(group === undefined ? {} : { group }) },
});

it('lists geofences by group and name, those without a group last', () => {
  const list = grouped([fence('Yard 10', 'Yards'), fence('Lone'), fence('Yard 9', 'Yards'), fence('Edited', ''), fence('Gate', 'Depots')]);
  expect(list.map(([group, fences]) => [group, fences.map((f) => f.properties.name)])).toEqual([
    ['Depots', ['Gate']], ['Yards', ['Yard 9', 'Yard 10']], ['', ['Edited', 'Lone']],
  ]);
});

it('hides whole groups, and remembers which', () => {
  const hidden = readHidden(writeHidden(new Set(['Yards', ''])));
  expect([fence('a', 'Yards'), fence('b'), fence('c', 'Depots')].map((f) => isShown(f, hidden))).toEqual([false, false, true]);
});

it.each([null, '', '{', '7', '[1,null]'])('what was not written hides nothing: %s', (text) => {
  expect(readHidden(text).size).toBe(0);
});
