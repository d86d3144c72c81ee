/** The life of the page: configuration, session, state, worker, map, panels. */

import 'leaflet/dist/leaflet.css';
import './styles/app.css';
import { acknowledgedOf, apply as applyAcknowledged } from './acknowledged';
import { parseAddress } from './address';
import { ApiError, api, messageOf } from './api';
import type { App } from './app';
import { Engine } from './engine';
import { configure, timeOfDay } from './format';
import { contains, showFences } from './map/fences';
import { createMap, type MapView } from './map/map';
import { alertsPanel, isNotable, sentence } from './panels/alerts';
import { detailsCard } from './panels/details';
import { fencesPanel } from './panels/fences';
import { replayPanel } from './panels/replay';
import { sqlPanel } from './panels/sql';
import { vehiclesPanel } from './panels/vehicles';
import { install } from './pwa/install';
import { forgetOne, prefer, preferred, preferredTimeZone, preferredUnits } from './prefs';
import { looksAround, panelsOf } from './roles';
import { Store, type PanelName } from './state';
import { texts } from './texts';
import { exposeForTests } from './testhook';
import { h } from './ui/dom';
import { bindKeys, createShell } from './ui/shell';
import { chime } from './ui/sound';
import { choosePassword, signIn } from './ui/signin';
import { toasts } from './ui/toast';
import type { AlertEvent, CatalogMessage, EventsAnswer, GeofenceCollection, PageConfig, SessionInfo } from './wire/types';
import type { Grouping, LayerName, Theme } from './worker/protocol';

const ALERTS_KEPT = 2000;
const ALERTS_AT_START = 500;
/** Alerts of fixes older than this are told in the feed, not by a toast. */
const TOAST_AGE_MS = 120_000;
const TOAST_EVERY_MS = 1_500;

const root = document.getElementById('root') ?? document.body;

async function sessionOf(config: PageConfig): Promise<SessionInfo> {
  try {
    return await api.session();
  } catch (e) {
    if (e instanceof ApiError && e.status === 401) return signIn(root, config.title || texts.product, config.oidc);
    throw e;
  }
}

const offered = ({ role }: SessionInfo, panel: PanelName | null): PanelName | null =>
  (panel === null || panelsOf(role).includes(panel) ? panel : 'vehicles');

const isNarrow = (): boolean => matchMedia('(max-width: 700px)').matches;

function applyTheme(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
}

function startTheme(): Theme {
  const kept = preferred('theme');
  if (kept === 'dark' || kept === 'light') return kept;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

async function start(): Promise<void> {
  const theme = startTheme();
  applyTheme(theme);
  configure({ units: preferredUnits(), timeZone: preferredTimeZone() });
  const config = await api.config();
  document.title = config.title || texts.product;
  const session = await sessionOf(config);
  const [fences, recent]: [GeofenceCollection | null, EventsAnswer | null] = looksAround(session.role)
    ? await Promise.all([api.fences(), api.events({ limit: ALERTS_AT_START })]) : [null, null];
  const grouping = preferred('grouping');
  const asked = parseAddress(location.hash);
  const store = new Store({
    config, session, fleets: session.fleets, panel: asked.panel === undefined ? (isNarrow() ? null : 'vehicles') : offered(session, asked.panel), stats: null,
    fences: new Map((fences?.features ?? []).map((f) => [f.properties.id, f])),
    alerts: [...(recent?.events ?? [])].reverse(), unseenAlerts: 0, toasts: preferred('toasts') !== 'off', sound: preferred('sound') === 'on',
    acknowledged: acknowledgedOf(recent?.events ?? []), query: asked.query,
    filter: { text: '', fleet: null, looks: [], sort: 'name', fence: null, attribute: '', devices: null, ...asked.filter },
    options: { theme, grouping: grouping === 'always' || grouping === 'never' ? grouping : 'auto', labels: preferred('labels') !== 'off', colouring: preferred('colouring') === 'speed' ? 'speed' : 'status', live: true },
    selected: null, vehicle: null, follow: false, replay: null, drawing: null, measuring: false, tilesFailing: false,
  });
  store.on(['options', 'toasts', 'sound'], ({ options, toasts: shown, sound }) => {
    prefer('colouring', options.colouring);
    prefer('sound', sound ? 'on' : 'off');
    applyTheme(options.theme);
    prefer('grouping', options.grouping);
    prefer('labels', options.labels ? 'on' : 'off');
    prefer('toasts', shown ? 'on' : 'off');
  });
  // Browsers once kept what was acknowledged for themselves.
  forgetOne('acknowledged');
  const app = build(store);
  app.engine.connect(recent?.cursor ?? null);
  if (asked.replay && looksAround(session.role)) app.replay(asked.replay.device, asked.replay);
  else if (asked.device !== null) app.select('live', asked.device);
  const renewed = (): void => void app.toast(texts.newVersion, { onclick: () => location.reload() });
  // Without it the page only opens slower.
  install(renewed).catch(() => undefined);
  // A part of the version that runs here is gone from the server.
  window.addEventListener('vite:preloadError', renewed);
  // Whom a provider signs in needs none; who wants one finds it in the account menu.
  if (!session.has_password && config.oidc === null) choosePassword(session.user, true).then((saved) => saved && app.toast(texts.password.saved), app.report);
}

function build(store: Store): App {
  const messages = toasts();
  const engine = new Engine(store);
  let view: MapView | null = null;
  let highlight: (id: string | null) => void = () => undefined;
  let revealFence: (id: string) => void = () => undefined;
  let startReplay: App['replay'] = () => undefined;
  const app: App = {
    store,
    engine,
    get view() {
      if (!view) throw new Error('the map is made before the panels');
      return view;
    },
    select: (layer, device) => store.set({ selected: device === null ? null : { layer, device }, vehicle: null, follow: false }),
    goTo: async (layer, device) => {
      app.select(layer, device);
      // On a phone the list would cover both the map and the details.
      if (isNarrow()) app.openPanel(null);
      const row = await engine.locate(layer, device);
      if (row) app.view.flyTo(row.lat, row.lon);
    },
    openPanel: (panel) => store.set({ panel: offered(store.now.session, panel) }),
    replay: (device, range, at) => startReplay(device, range, at),
    clickGround: (at) => {
      const fence = [...store.now.fences.values()].find((f) => contains(f, at));
      highlight(fence?.properties.id ?? null);
      if (fence && store.now.panel === 'fences') revealFence(fence.properties.id);
      if (!fence) app.select('live', null);
    },
    highlightFence: (id) => highlight(id),
    cycleGrouping: () => {
      const next: Record<Grouping, Grouping> = { auto: 'always', always: 'never', never: 'auto' };
      store.set({ options: { ...store.now.options, grouping: next[store.now.options.grouping] } });
    },
    cycleColouring: () => {
      const { options } = store.now;
      store.set({ options: { ...options, colouring: options.colouring === 'speed' ? 'status' : 'speed' } });
    },
    toggleTheme: () => {
      const theme: Theme = store.now.options.theme === 'dark' ? 'light' : 'dark';
      prefer('theme', theme);
      store.set({ options: { ...store.now.options, theme } });
    },
    toast: messages.show,
    report: (error) => messages.show(messageOf(error), { kind: 'error' }),
  };

  const shell = createShell(app);
  root.replaceChildren(shell.element);
  view = createMap(app, shell.mapBox);
  highlight = showFences(view.map, store).highlight;
  const fences = fencesPanel(app);
  revealFence = fences.reveal;
  const replay = replayPanel(app);
  startReplay = replay.start;
  shell.fill({
    panels: { vehicles: vehiclesPanel(app), fences, alerts: alertsPanel(app), replay, sql: sqlPanel(app) },
    details: detailsCard(app), dock: replay.dock, toasts: messages.element,
  });
  bindKeys(app, (key) => fences.key(key) || view?.tools.key(key) === true || replay.key(key));
  listen(app);
  exposeForTests(app);
  return app;
}

/** What the server pushes. */
function listen(app: App): void {
  const { store, engine } = app;
  let toastedAt = 0;
  let chimedAt = 0;
  /** Takes the last pop-up of an alert away. */
  let ofToasted: { id: string; close: () => void } = { id: '', close: () => undefined };
  const alertToast = (alert: AlertEvent, text: string, layer: LayerName): void => {
    // A busy fleet has more alerts than anybody reads: the feed has them all.
    if (!store.now.toasts || Date.now() - toastedAt < TOAST_EVERY_MS) return;
    toastedAt = Date.now();
    const close = app.toast(h('span', { class: `toast-alert alert-${alert.kind}` }, text), {
      kind: 'alert', onclick: () => {
        app.select(layer, alert.device);
        // 0,0: the device has not said where it is.
        if (alert.lat !== 0 || alert.lon !== 0) app.view.flyTo(alert.lat, alert.lon);
      },
    });
    if (layer === 'live') ofToasted = { id: alert.event_id, close };
  };
  // What somebody has seen to need not pop up here.
  store.on(['acknowledged'], ({ acknowledged }) => acknowledged.has(ofToasted.id) && ofToasted.close());
  let lastVehicle = 0;
  engine.on('frame', ({ selected }) => {
    // Panels need no more than 4 Hz; the map follows each frame by itself.
    const now = performance.now();
    if (now - lastVehicle < 250) return;
    lastVehicle = now;
    store.set({ vehicle: selected });
  });
  engine.on('alert', (alert) => {
    const { alerts, panel, unseenAlerts, stats } = store.now;
    const known = alerts.findIndex((a) => a.event_id === alert.event_id);
    const others = known < 0 ? alerts : alerts.filter((_, i) => i !== known);
    const kept = [alert, ...others];
    if (kept.length > ALERTS_KEPT) {
      // Everyday events are many: they don't push alerts out.
      const routine = kept.findLastIndex((a) => !isNotable(a));
      kept.splice(routine < 0 ? kept.length - 1 : routine, 1);
    }
    store.set({ alerts: kept, unseenAlerts: panel === 'alerts' || known >= 0 || !isNotable(alert) ? unseenAlerts : unseenAlerts + 1 });
    const old = Date.now() + (stats?.clockOffset ?? 0) - alert.fix_time > TOAST_AGE_MS;
    // While somebody looks at the past, the present only counts up the badge.
    const watching = store.now.replay === null && panel !== 'alerts';
    if (known < 0 && !old && watching && !alert.retracted && isNotable(alert) && !store.now.acknowledged.has(alert.event_id)) {
      if (store.now.sound && Date.now() - chimedAt > TOAST_EVERY_MS) {
        chimedAt = Date.now();
        chime();
      }
      alertToast(alert, sentence(alert), 'live');
    }
  });
  engine.on('notice', (notice) => app.toast(`${notice.from}: ${notice.text}`));
  engine.on('replayAlert', ({ id, alert }) => {
    if (id === store.now.replay?.id && isNotable(alert)) alertToast(alert, `${timeOfDay(alert.fix_time)} ${sentence(alert)}`, 'replay');
  });
  engine.on('catalog', (change) => applyCatalog(app, change));
}

/** Somebody edited something: every open dashboard shows it at once. */
function applyCatalog({ store, engine, select }: App, change: CatalogMessage): void {
  switch (change.kind) {
    case 'geofence': {
      const fences = new Map(store.now.fences);
      if (change.value) fences.set(change.id, change.value);
      else fences.delete(change.id);
      store.set({ fences });
      return;
    }
    case 'fleet': {
      const others = store.now.fleets.filter((f) => f.id !== change.id);
      store.set({ fleets: change.value ? [...others, change.value].sort((a, b) => a.name.localeCompare(b.name)) : others });
      return;
    }
    case 'acknowledgements':
      store.set({ acknowledged: applyAcknowledged(store.now.acknowledged, change) });
      return;
    case 'device':
      if (change.value) engine.rename(change.id, change.value.name, change.value.fleet);
      // Removed, or another organisation's now.
      else if (store.now.selected?.layer === 'live' && store.now.selected.device === change.id) select('live', null);
  }
}

start().catch((error: unknown) => {
  root.replaceChildren(h('main', { class: 'sign-in-page' }, h('div', { class: 'sign-in' },
    h('h1', {}, texts.product), h('p', { class: 'error', role: 'alert' }, messageOf(error)),
    h('button', { type: 'button', class: 'button primary', onclick: () => location.reload() }, texts.retry))));
});
