/** What the organisation has, as the server tells it: fleets, geofences, what the user may do. Every open dashboard shows it at once. */

import { apply as applyAcknowledged } from './acknowledged';
import { api } from './api';
import type { App } from './app';
import { looksAround } from './roles';
import type { State, Store } from './state';
import type { CatalogMessage, GeofenceCollection, GeofenceFeature, SessionInfo } from './wire/types';

/** After a failure the server is asked again this much later. */
const AGAIN_MS = 5_000;

/** Of whoever sees none. */
export const NO_FENCES: GeofenceCollection = { type: 'FeatureCollection', features: [] };

type Told = Pick<State, 'fences' | 'fleets'>;

/** With what somebody edited. Whatever is many is copied once, however much was edited. */
export function edited({ fences, fleets }: Told, changes: readonly CatalogMessage[]): Told {
  let after: Map<string, GeofenceFeature> | null = null;
  for (const change of changes) {
    if (change.kind === 'geofence') {
      after ??= new Map(fences);
      if (change.value) after.set(change.id, change.value);
      else after.delete(change.id);
    } else if (change.kind === 'fleet') {
      const others = fleets.filter((f) => f.id !== change.id);
      fleets = change.value ? [...others, change.value].sort((a, b) => a.name.localeCompare(b.name)) : others;
    }
  }
  return { fences: after ?? fences, fleets };
}

export type Edit = Extract<CatalogMessage, { kind: 'geofence' | 'fleet' }>;

export interface Edits {
  add: (change: Edit) => void;
  /** What waits is not needed any more. */
  forget: () => void;
}

/**
 * Takes over what was edited, all of one animation frame at once: somebody may import ten thousand geofences. A page that nobody sees has no
 * frames; of each thing only the last edit waits there.
 */
export function inFrames(store: Store, frame: (take: () => void) => unknown = requestAnimationFrame): Edits {
  const waiting = new Map<string, Edit>();
  let asked = false;
  const take = (): void => {
    asked = false;
    if (waiting.size === 0) return;
    const changes = [...waiting.values()];
    waiting.clear();
    store.set(edited(store.now, changes));
  };
  return {
    add: (change) => {
      waiting.set(`${change.kind}/${change.id}`, change);
      if (asked) return;
      asked = true;
      frame(take);
    },
    forget: () => waiting.clear(),
  };
}

/** All of it anew. `meanwhile`: told since it was asked for, and so perhaps not in the answers yet. */
export function anew(session: SessionInfo, { features }: GeofenceCollection, meanwhile: readonly CatalogMessage[]): Told & Pick<State, 'session'> {
  const told: Told = { fences: new Map(features.map((f) => [f.properties.id, f])), fleets: session.fleets };
  return { session, ...edited(told, meanwhile) };
}

/** A filter by what is no longer there would hide everybody. Null: it need not change. */
export function withoutGone({ filter, fences, fleets }: Pick<State, 'filter' | 'fences' | 'fleets'>): State['filter'] | null {
  const fleet = fleets.some((f) => f.id === filter.fleet) ? filter.fleet : null;
  const fence = filter.fence !== null && fences.has(filter.fence) ? filter.fence : null;
  return fleet === filter.fleet && fence === filter.fence ? null : { ...filter, fleet, fence };
}

export function followCatalog({ store, engine, select }: App): void {
  const edits = inFrames(store);
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
      // Older than the answers, or among what was told meanwhile.
      edits.forget();
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
        edits.add(change);
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
