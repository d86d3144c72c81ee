import { describe, expect, it } from 'vitest';
import { anew, edited, inFrames, withoutGone, type Edit, type Edits } from './catalog';
import { Store, type State } from './state';
import type { FleetInfo, GeofenceCollection, GeofenceFeature, SessionInfo } from './wire/types';
import type { Filter } from './worker/protocol';

const fence = (id: string, name = id, version = 1): GeofenceFeature =>
  ({ type: 'Feature', geometry: { type: 'Point', coordinates: [0, 0] }, properties: { id, name, fleet: null, colour: null, version } });
const all = (...features: GeofenceFeature[]): GeofenceCollection => ({ type: 'FeatureCollection', features });
const fleets: FleetInfo[] = [{ id: 'n', name: 'North' }, { id: 's', name: 'South' }];
const session: SessionInfo = { user: 'anna', organisation: 'ours', role: 'viewer', has_password: true, preferences: null, fleets };
const put = (value: GeofenceFeature): Edit => ({ kind: 'geofence', id: value.properties.id, value });
const names = (fences: ReadonlyMap<string, GeofenceFeature>): string[] => [...fences.values()].map((f) => f.properties.name).sort();

it('takes over edits of geofences and fleets, and nothing else', () => {
  const one = edited({ fences: new Map(), fleets }, [put(fence('a'))]);
  const two = edited(one, [{ kind: 'fleet', id: 'n', value: { id: 'n', name: 'Zulu' } }]);
  const three = edited(two, [{ kind: 'geofence', id: 'a', value: null }, { kind: 'fleet', id: 's', value: null }]);
  expect([names(one.fences), two.fleets.map((f) => f.name), names(three.fences), three.fleets.map((f) => f.name)]).toEqual([['a'], ['South', 'Zulu'], [], ['Zulu']]);
  const same = edited(one, [{ kind: 'device', id: 'd', value: null }]);
  expect([same.fences, same.fleets]).toEqual([one.fences, one.fleets]);
  expect(same.fences).toBe(one.fences);
});

describe('edits of one animation frame', () => {
  const begun = (): { store: Store; seen: number[]; edits: Edits; frames: (() => void)[] } => {
    const told: Pick<State, 'fences' | 'fleets'> = { fences: new Map(), fleets };
    const store = new Store(told as State);
    const seen: number[] = [];
    store.on(['fences'], ({ fences }) => seen.push(fences.size));
    const frames: (() => void)[] = [];
    return { store, seen, edits: inFrames(store, (take) => frames.push(take)), frames };
  };

  it('are one change, however many they are', () => {
    const { store, seen, edits, frames } = begun();
    for (let n = 0; n < 10_000; n += 1) edits.add(put(fence(String(n))));
    edits.add(put(fence('7', 'the last word')));
    edits.add({ kind: 'geofence', id: '8', value: null });
    edits.add({ kind: 'fleet', id: 'n', value: null });
    expect([seen, frames.length]).toEqual([[0], 1]);
    frames[0]();
    expect([seen, frames.length, store.now.fences.get('7')?.properties.name, store.now.fleets.length]).toEqual([[0, 9_999], 1, 'the last word', 1]);
    edits.add(put(fence('8')));
    frames[1]();
    expect([seen, frames.length]).toEqual([[0, 9_999, 10_000], 2]);
  });

  it('do not undo what was asked for meanwhile', () => {
    const { store, seen, edits, frames } = begun();
    edits.add(put(fence('a', 'old')));
    store.set({ fences: new Map([['a', fence('a', 'new', 2)], ['b', fence('b')]]) });
    edits.forget();
    frames[0]();
    expect([seen, names(store.now.fences)]).toEqual([[0, 2], ['b', 'new']]);
  });
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
