import { expect, it } from 'vitest';
import { anew, edited, withoutGone } from './catalog';
import type { CatalogMessage, FleetInfo, GeofenceCollection, GeofenceFeature, SessionInfo } from './wire/types';
import type { Filter } from './worker/protocol';

const fence = (id: string, name = id, version = 1): GeofenceFeature =>
  ({ type: 'Feature', geometry: { type: 'Point', coordinates: [0, 0] }, properties: { id, name, fleet: null, colour: null, version } });
const all = (...features: GeofenceFeature[]): GeofenceCollection => ({ type: 'FeatureCollection', features });
const fleets: FleetInfo[] = [{ id: 'n', name: 'North' }, { id: 's', name: 'South' }];
const session: SessionInfo = { user: 'anna', organisation: 'ours', role: 'viewer', has_password: true, preferences: null, fleets };
const put = (value: GeofenceFeature): CatalogMessage => ({ kind: 'geofence', id: value.properties.id, value });
const names = (fences: ReadonlyMap<string, GeofenceFeature>): string[] => [...fences.values()].map((f) => f.properties.name).sort();

it('takes over edits of geofences and fleets, and nothing else', () => {
  const one = edited({ fences: new Map(), fleets }, put(fence('a')));
  const two = edited(one, { kind: 'fleet', id: 'n', value: { id: 'n', name: 'Zulu' } });
  const three = edited(edited(two, { kind: 'geofence', id: 'a', value: null }), { kind: 'fleet', id: 's', value: null });
  expect([names(one.fences), two.fleets.map((f) => f.name), names(three.fences), three.fleets.map((f) => f.name)]).toEqual([['a'], ['South', 'Zulu'], [], ['Zulu']]);
  expect(edited(one, { kind: 'device', id: 'd', value: null })).toEqual(one);
});

it('begins anew after a break, with what was told while it asked', () => {
  const after = anew(session, all(fence('a', 'old'), fence('gone'), fence('b')), [put(fence('a', 'new', 2)), { kind: 'geofence', id: 'gone', value: null }]);
  expect([names(after.fences), after.session.role, after.fleets]).toEqual([['b', 'new'], 'viewer', fleets]);
});

it('filters by nothing that is gone', () => {
  const filter: Filter = { text: 'x', fleet: 'n', looks: [], sort: 'name', fence: 'a', attribute: '', devices: null };
  const fences = new Map([['a', fence('a')]]);
  expect(withoutGone({ filter, fences, fleets })).toBeNull();
  expect(withoutGone({ filter, fences: new Map(), fleets })).toEqual({ ...filter, fence: null });
  expect(withoutGone({ filter, fences, fleets: [] })).toEqual({ ...filter, fleet: null });
  const none = { ...filter, fleet: null, fence: null };
  expect(withoutGone({ filter: none, fences: new Map(), fleets: [] })).toBeNull();
});
