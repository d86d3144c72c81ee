/** What the organisation has, as the server tells it: fleets, geofences, what the user may do. Every open dashboard shows it at once. */

import { apply as applyAcknowledged } from './acknowledged';
import { api } from './api';
import type { App } from './app';
import { looksAround } from './roles';
import type { State } from './state';
import type { CatalogMessage, GeofenceCollection, SessionInfo } from './wire/types';

/** After a failure the server is asked again this much later. */
const AGAIN_MS = 5_000;

/** Of whoever sees none. */
export const NO_FENCES: GeofenceCollection = { type: 'FeatureCollection', features: [] };

type Told = Pick<State, 'fences' | 'fleets'>;

/** With what somebody edited. */
export function edited({ fences, fleets }: Told, change: CatalogMessage): Told {
  if (change.kind === 'geofence') {
    const after = new Map(fences);
    if (change.value) after.set(change.id, change.value);
    else after.delete(change.id);
    return { fences: after, fleets };
  }
  if (change.kind === 'fleet') {
    const others = fleets.filter((f) => f.id !== change.id);
    return { fences, fleets: change.value ? [...others, change.value].sort((a, b) => a.name.localeCompare(b.name)) : others };
  }
  return { fences, fleets };
}

/** All of it anew. `meanwhile`: told since it was asked for, and so perhaps not in the answers yet. */
export function anew(session: SessionInfo, { features }: GeofenceCollection, meanwhile: readonly CatalogMessage[]): Told & Pick<State, 'session'> {
  const told: Told = { fences: new Map(features.map((f) => [f.properties.id, f])), fleets: session.fleets };
  return { session, ...meanwhile.reduce(edited, told) };
}

/** A filter by what is no longer there would hide everybody. Null: it need not change. */
export function withoutGone({ filter, fences, fleets }: Pick<State, 'filter' | 'fences' | 'fleets'>): State['filter'] | null {
  const fleet = fleets.some((f) => f.id === filter.fleet) ? filter.fleet : null;
  const fence = filter.fence !== null && fences.has(filter.fence) ? filter.fence : null;
  return fleet === filter.fleet && fence === filter.fence ? null : { ...filter, fleet, fence };
}

export function followCatalog({ store, engine, select }: App): void {
  let asked = 0;
  /** Null while nothing is asked for. */
  let meanwhile: CatalogMessage[] | null = null;

  const askAgain = async (): Promise<void> => {
    const mine = ++asked;
    meanwhile = [];
    try {
      const session = await api.session();
      const { user, organisation } = store.now.session;
      // Another tab has signed in as somebody else, or the user sees more or less now: what is shown here is not theirs.
      if (session.user !== user || session.organisation !== organisation || looksAround({ session }) !== looksAround(store.now)) {
        location.reload();
        return;
      }
      const fences = looksAround({ session }) ? await api.fences() : NO_FENCES;
      if (mine !== asked) return;
      store.set(anew(session, fences, meanwhile));
      meanwhile = null;
    } catch {
      setTimeout(() => {
        if (mine === asked) void askAgain();
      }, AGAIN_MS);
    }
  };
  store.on(['fleets', 'fences', 'filter'], (state) => {
    const filter = withoutGone(state);
    if (filter) store.set({ filter });
  });
  // Edits of the time without a connection are told to nobody.
  engine.on('rejoined', () => void askAgain());

  engine.on('catalog', (change) => {
    meanwhile?.push(change);
    switch (change.kind) {
      case 'geofence':
      case 'fleet':
        store.set(edited(store.now, change));
        return;
      case 'acknowledgements':
        store.set({ acknowledged: applyAcknowledged(store.now.acknowledged, change) });
        return;
      case 'device':
        if (change.value) engine.rename(change.id, change.value.name, change.value.fleet);
        // Removed, or another organisation's now.
        else if (store.now.selected?.layer === 'live' && store.now.selected.device === change.id) select('live', null);
    }
  });
}
