import { expect, it } from 'vitest';
import type { GeofenceFeature } from '../wire/types';
import { grouped, isShown, keyOf, listed, readHidden, writeHidden } from './fence_groups';

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

it('has a heading over each group, if there are groups', () => {
  const lines = listed([fence('Yard', 'Yards'), fence('Lone')]);
  expect(lines.map(({ group, fence: one }) => [group, one?.properties.name])).toEqual([['Yards', undefined], ['Yards', 'Yard'], ['', undefined], ['', 'Lone']]);
  expect(new Set(lines.map(({ key }) => key)).size).toBe(4);
  expect(listed([fence('Lone')]).map(({ key }) => key)).toEqual([keyOf('Lone')]);
  // A group and a geofence of one name are two lines.
  expect(new Set(listed([fence('A', 'A'), fence('B', 'fence A')]).map(({ key }) => key)).size).toBe(4);
});

it('hides whole groups, and remembers which', () => {
  const hidden = readHidden(writeHidden(new Set(['Yards', ''])));
  expect([fence('a', 'Yards'), fence('b'), fence('c', 'Depots')].map((f) => isShown(f, hidden))).toEqual([false, false, true]);
});

it.each([null, '', '{', '7', '[1,null]'])('what was not written hides nothing: %s', (text) => {
  expect(readHidden(text).size).toBe(0);
});
