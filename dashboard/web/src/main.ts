/** The life of the page: configuration, session, state, worker, map, panels. */

import 'leaflet/dist/leaflet.css';
import './styles/app.css';
import { acknowledgedOf } from './acknowledged';
import { parseAddress } from './address';
import { ApiError, api, messageOf } from './api';
import type { App } from './app';
import { NO_FENCES, followCatalog } from './catalog';
import { Engine } from './engine';
import { followAddress, openParts, type Parts } from './follow_address';
import { configure, timeOfDay } from './format';
import { contains, showFences } from './map/fences';
import { createMap, type MapView } from './map/map';
import { alertsPanel, sentence, showPlace } from './panels/alerts';
import { detailsCard } from './panels/details';
import { NOTABLE_KINDS, PAGE, isNotable, toldBy, withAlert } from './panels/feed';
import { isShown, readHidden, writeHidden } from './panels/fence_groups';
import { fencesPanel } from './panels/fences';
import { journeysPanel } from './panels/journeys';
import { preferredTrail, replayPanel } from './panels/replay';
import { sqlPanel } from './panels/sql';
import { vehiclesPanel } from './panels/vehicles';
import { install } from './pwa/install';
import { forgetOne, prefer, preferred, preferredTimeZone, preferredUnits, takeOver } from './prefs';
import { looksAround, offered } from './roles';
import { Store, serverNow } from './state';
import { texts } from './texts';
import { exposeForTests } from './testhook';
import { h, isNarrow } from './ui/dom';
import { bindKeys, createShell } from './ui/shell';
import { chime } from './ui/sound';
import { choosePassword, signIn } from './ui/signin';
import { toasts } from './ui/toast';
import type { AlertEvent, EventsAnswer, GeofenceCollection, PageConfig, SessionInfo } from './wire/types';
import { EVERYBODY, type Grouping, type LayerName, type Theme } from './worker/protocol';

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
  const config = await api.config();
  document.title = config.title || texts.product;
  const session = await sessionOf(config);
  takeOver(session.preferences);
  configure({ units: preferredUnits(), timeZone: preferredTimeZone() });
  const [fences, recent]: [GeofenceCollection, EventsAnswer | null] = looksAround({ session })
    ? await Promise.all([api.fences(), api.events({ limit: PAGE, kind: NOTABLE_KINDS })]) : [NO_FENCES, null];
  const events = recent?.events ?? [];
  const grouping = preferred('grouping');
  const asked = parseAddress(location.hash);
  const store = new Store({
    config, session, fleets: session.fleets, panel: asked.panel === undefined ? (isNarrow() ? null : 'vehicles') : offered({ session }, asked.panel), stats: null,
    fences: new Map(fences.features.map((f) => [f.properties.id, f])), preview: null, hiddenGroups: readHidden(preferred('hiddenGroups')),
    alerts: [...events].reverse(), unseenAlerts: 0, toasts: preferred('toasts') !== 'off', sound: preferred('sound') === 'on',
    acknowledged: acknowledgedOf(events), query: asked.query, sqlView: asked.sqlView, alertFilter: asked.alerts, journeyFilter: asked.journeys, heat: null,
    filter: { ...EVERYBODY, ...asked.filter },
    options: {
      theme, grouping: grouping === 'always' || grouping === 'never' ? grouping : 'auto', labels: preferred('labels') !== 'off',
      colouring: preferred('colouring') === 'speed' ? 'speed' : 'status', live: true, trailMs: preferredTrail(), ...asked.options,
    },
    selected: null, vehicle: null, follow: false, replay: null, drawing: null, measuring: false, tilesFailing: false,
  });
  store.on(['options', 'toasts', 'sound'], ({ options, toasts: shown, sound }) => {
    prefer('sound', sound ? 'on' : 'off');
    applyTheme(options.theme);
    prefer('labels', options.labels ? 'on' : 'off');
    prefer('toasts', shown ? 'on' : 'off');
  });
  store.on(['hiddenGroups'], ({ hiddenGroups }) => prefer('hiddenGroups', writeHidden(hiddenGroups)));
  // Browsers once kept what was acknowledged for themselves.
  forgetOne('acknowledged');
  const { app, parts } = build(store);
  app.engine.connect(recent?.cursor ?? null);
  openParts(app, asked, parts);
  followAddress(app, parts);
  const renewed = (): void => void app.toast(texts.newVersion, { onclick: () => location.reload() });
  // Without it the page only opens slower.
  install(renewed).catch(() => undefined);
  // A part of the version that runs here is gone from the server.
  window.addEventListener('vite:preloadError', renewed);
  // Whom a provider signs in needs none; who wants one finds it in the account menu.
  if (!session.has_password && config.oidc === null) choosePassword(session.user, true).then((saved) => saved && app.toast(texts.password.saved), app.report);
}

function build(store: Store): { app: App; parts: Parts } {
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
    openPanel: (panel) => store.set({ panel: offered(store.now, panel) }),
    replay: (device, range, at) => startReplay(device, range, at),
    clickGround: (at) => {
      const fence = [...store.now.fences.values()].find((f) => isShown(f, store.now.hiddenGroups) && contains(f, at));
      highlight(fence?.properties.id ?? null);
      if (fence && store.now.panel === 'fences') revealFence(fence.properties.id);
      if (!fence) app.select('live', null);
    },
    highlightFence: (id) => highlight(id),
    cycleGrouping: () => {
      const next: Record<Grouping, Grouping> = { auto: 'always', always: 'never', never: 'auto' };
      const grouping = next[store.now.options.grouping];
      // What an address of somebody else says is no choice.
      prefer('grouping', grouping);
      store.set({ options: { ...store.now.options, grouping } });
    },
    cycleColouring: () => {
      const { options } = store.now;
      const colouring = options.colouring === 'speed' ? 'status' : 'speed';
      prefer('colouring', colouring);
      store.set({ options: { ...options, colouring } });
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
  const sql = sqlPanel(app);
  shell.fill({
    panels: { vehicles: vehiclesPanel(app), fences, alerts: alertsPanel(app), replay, trips: journeysPanel(app), sql },
    details: detailsCard(app), dock: replay.dock, toasts: messages.element,
  });
  bindKeys(app, (key) => fences.key(key) || view?.tools.key(key) === true || replay.key(key));
  listen(app);
  followCatalog(app);
  exposeForTests(app);
  return { app, parts: { replay: replay.restore, heat: view.tools.showHeat, sql: sql.ask } };
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
        showPlace(app, alert);
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
    const { alerts, panel, unseenAlerts } = store.now;
    const known = alerts.some((a) => a.event_id === alert.event_id);
    store.set({ alerts: withAlert(alerts, alert), unseenAlerts: panel === 'alerts' || known || !isNotable(alert) ? unseenAlerts : unseenAlerts + 1 });
    const { sound, popUp } = toldBy(alert, known, serverNow(store.now), store.now);
    if (sound && Date.now() - chimedAt > TOAST_EVERY_MS) {
      chimedAt = Date.now();
      chime();
    }
    if (popUp) alertToast(alert, sentence(alert), 'live');
  });
  engine.on('notice', (notice) => app.toast(`${notice.from}: ${notice.text}`));
  engine.on('replayAlert', ({ id, alert }) => {
    if (id === store.now.replay?.id && isNotable(alert)) alertToast(alert, `${timeOfDay(alert.fix_time)} ${sentence(alert)}`, 'replay');
  });
}

start().catch((error: unknown) => {
  root.replaceChildren(h('main', { class: 'sign-in-page' }, h('div', { class: 'sign-in' },
    h('h1', {}, texts.product), h('p', { class: 'error', role: 'alert' }, messageOf(error)),
    h('button', { type: 'button', class: 'button primary', onclick: () => location.reload() }, texts.retry))));
});
