/** What is known of the selected vehicle, its way and speed of the last hour, and what to do with it. */

import { api } from '../api';
import type { App } from '../app';
import { age, coordinates, course, kmhOf, lengthText, speedIn, speedText, speedUnit, time, utc } from '../format';
import { Dot } from '../map/dot';
import { PAST_COLOUR, TRAIL_COLOUR, Trail } from '../map/trail';
import { entersDevices, looksAround, mayEdit } from '../roles';
import { serverNow } from '../state';
import { texts } from '../texts';
import { h, iconButton, setText, timeElement } from '../ui/dom';
import { momentChart } from '../ui/chart';
import { showAccess } from './access';
import { attributeList } from './attributes';
import { commandList } from './commands';
import { eventList } from './device_events';
import { showShareLinks } from './share';
import { handOverButton } from './transfers';
import { tripList } from './trips';
import type { DeviceDetails, PositionInfo, TrackAnswer } from '../wire/types';
import { latOf, lonOf } from '../worker/mercator';
import { SPEED_RGB, speedColour } from '../worker/palette';

const HOUR_MS = 3_600_000;
/** How often details are fetched while shown, and the trail. */
const DETAILS_MS = 3_000;
const TRACK_MS = 15_000;
const TRACK_POINTS = 5_000;

const speedCss = (mps: number): string => `rgb(${SPEED_RGB[speedColour(mps * 36)].join(' ')})`;

export function detailsCard(app: App): HTMLElement {
  const { store } = app;
  const trail = new Trail(app.view.map);
  /** Where the vehicle was at the moment of the chart that is pointed at. */
  const spot = new Dot(app.view.map);
  let places: ReadonlyMap<number, { lat: number; lon: number }> = new Map();
  let details: DeviceDetails | null = null;
  let trailOn = true;

  const title = h('h2', { class: 'card-title' });
  const dot = h('span', { class: 'look' });
  const subtitle = h('div', { class: 'card-subtitle' });
  const past = h('span', { class: 'badge', hidden: true }, texts.details.past);
  const speed = h('span', { class: 'figure' });
  const bearing = h('span', { class: 'figure' });
  const fixAge = h('span', { class: 'figure' });
  const facts = h('dl', { class: 'facts' });
  const chart = momentChart({
    label: texts.details.chartLabel, text: (v) => `${Math.round(v)} ${speedUnit()}`,
    point: (t) => {
      const place = t === null ? undefined : places.get(t);
      if (place) spot.show(place.lat, place.lon);
      else spot.clear();
    },
    pick: (t) => {
      const place = places.get(t);
      if (!place) return;
      app.view.flyTo(place.lat, place.lon);
    },
  });
  const renameForm = h('form', { class: 'inline-form', hidden: true });

  const follow = h('button', { type: 'button', class: 'button small', onclick: () => store.set({ follow: !store.now.follow }) }, texts.details.follow);
  const trailButton = h('button', {
    type: 'button', class: 'button small', title: texts.details.trailHint, aria: { pressed: 'true' }, onclick: () => {
      trailOn = !trailOn;
      trailButton.setAttribute('aria-pressed', String(trailOn));
      if (trailOn) refreshTrack().catch(app.report);
      else trail.clear();
    },
  }, texts.details.trail);
  const replayButton = h('button', { type: 'button', class: 'button small', onclick: () => app.openPanel('replay') }, texts.details.replay);
  const share = h('button', {
    type: 'button', class: 'button small', title: texts.share.buttonHint, onclick: () => {
      const { selected } = store.now;
      if (selected) showShareLinks(app, selected.device, title.textContent ?? selected.device);
    },
  }, texts.share.button);
  const access = h('button', {
    type: 'button', class: 'button small', title: texts.access.buttonHint, onclick: () => {
      const { selected } = store.now;
      if (selected) showAccess(selected.device, title.textContent ?? selected.device);
    },
  }, texts.access.button);
  const rename = iconButton('edit', texts.details.rename, () => toggleRename());
  store.on(['session'], (state) => {
    share.hidden = !mayEdit(state);
    access.hidden = rename.hidden = !entersDevices(state);
  });
  const gpx = h('a', { class: 'button small', download: '' }, texts.details.exportGpx);
  const handOver = handOverButton(app);
  const attributes = attributeList(app);
  const trips = tripList(app);
  const events = eventList(app);
  const commands = commandList(app);
  const hasHistory = looksAround(store.now);
  const chartTitle = h('h3', {});
  [trailButton, replayButton, gpx, chartTitle, chart.element].forEach((element) => {
    element.hidden = !hasHistory;
  });
  const reported = h('div', { class: 'reported' }, facts);
  const happened = h('div', { class: 'reported' }, events.element, commands.element);
  const card = h('aside', { class: 'card', hidden: true, aria: { label: texts.details.region } },
    h('header', { class: 'card-head' }, dot, h('div', { class: 'grow' }, title, subtitle), past,
      rename,
      iconButton('target', texts.details.centre, () => {
        const { selected } = store.now;
        if (selected) app.goTo(selected.layer, selected.device).catch(app.report);
      }),
      iconButton('close', texts.close, () => app.select('live', null))),
    renameForm,
    h('div', { class: 'figures' },
      h('div', {}, h('span', { class: 'figure-label' }, texts.details.speed), speed),
      h('div', {}, h('span', { class: 'figure-label' }, texts.details.course), bearing),
      h('div', {}, h('span', { class: 'figure-label' }, texts.details.lastFix), fixAge)),
    h('div', { class: 'card-actions' }, follow, trailButton, replayButton, share, access, gpx, handOver),
    h('div', { class: 'card-scroll', tabIndex: 0, role: 'group', aria: { label: texts.details.region } },
      chartTitle, chart.element, trips.element, reported, h('h3', {}, texts.details.attributes), attributes.element, happened));

  function toggleRename(): void {
    if (!details || !entersDevices(store.now)) return;
    renameForm.hidden = !renameForm.hidden;
    const { id, fleet } = details;
    const input = h('input', { value: details.name, maxLength: 100, aria: { label: texts.details.rename } });
    const error = h('p', { class: 'error', role: 'alert' });
    renameForm.replaceChildren(input, h('button', { type: 'submit', class: 'button small primary' }, texts.save), error);
    renameForm.onsubmit = (event) => {
      event.preventDefault();
      api.editDevice({ id, fleet, name: input.value.trim() }).then(() => {
        renameForm.hidden = true;
        return refreshDetails();
      }).catch((e: unknown) => setText(error, e instanceof Error ? e.message : texts.failed));
    };
    if (!renameForm.hidden) input.select();
  }

  function fact(label: string, ...value: (Node | string)[]): HTMLElement[] {
    return [h('dt', {}, label), h('dd', {}, ...value)];
  }

  function showDetails(): void {
    const position = details?.position ?? null;
    const rows: HTMLElement[] = [];
    if (details && hasHistory) {
      rows.push(...fact(texts.details.inside, ...(details.inside.length === 0 ? [texts.details.insideNone] : details.inside.map((fence) =>
        h('button', { type: 'button', class: 'link', title: texts.details.since(time(fence.since)), onclick: () => app.highlightFence(fence.id) }, fence.name)))));
    }
    if (position) {
      rows.push(
        ...fact(texts.details.position, coordinates(position.lat, position.lon), position.valid ? '' : ` (${texts.details.invalid})`),
        ...fact(texts.details.lastFix, timeElement(time(position.fix_time), utc(position.fix_time))));
      if (details?.received_at) rows.push(...fact(texts.details.received, timeElement(time(details.received_at), utc(details.received_at))));
      if (position.altitude_m !== null) rows.push(...fact(texts.details.altitude, lengthText(position.altitude_m)));
    }
    if (details?.protocol) rows.push(...fact(texts.details.protocol, details.protocol));
    facts.replaceChildren(...rows);
    if (position) attributes.add({ at: position.fix_time, attributes: position.attributes });
  }

  async function refreshDetails(): Promise<void> {
    const device = store.now.selected?.device;
    if (device === undefined) return;
    const fresh = await api.device(device);
    if (store.now.selected?.device !== device) return;
    details = fresh;
    showDetails();
  }

  /** The track, as it came last. */
  let shown: { positions: PositionInfo[]; colour: string } | null = null;
  let bySpeed = store.now.options.colouring === 'speed';
  function showTrail(): void {
    if (!trailOn || !shown) {
      trail.clear();
      return;
    }
    const { positions, colour } = shown;
    trail.show(positions, ({ speed_mps }) => (bySpeed && speed_mps !== null ? speedCss(speed_mps) : colour));
  }
  store.on(['options'], ({ options }) => {
    if (bySpeed === (options.colouring === 'speed')) return;
    bySpeed = !bySpeed;
    showTrail();
  });

  async function refreshTrack(): Promise<void> {
    const { selected, replay } = store.now;
    if (!selected || !hasHistory) return;
    const past = selected.layer === 'replay' ? replay : null;
    const to = past?.to ?? serverNow(store.now);
    const from = past?.from ?? to - HOUR_MS;
    const track: TrackAnswer = await api.track(selected.device, from, to, TRACK_POINTS);
    if (store.now.selected !== selected) return;
    shown = { positions: track.positions, colour: past ? PAST_COLOUR : TRAIL_COLOUR };
    showTrail();
    // What a receiver without a fix says is neither a speed nor a place.
    const told = track.positions.filter((p) => p.valid && p.speed_mps !== null);
    places = new Map(told.map((p) => [p.fix_time, p]));
    if (told.length < 2) chart.say(texts.details.chartNone);
    else await chart.show(told.map((p) => ({ t: p.fix_time, v: speedIn(kmhOf(p.speed_mps ?? 0)) })), from, to);
    gpx.href = api.exportUrl('gpx', selected.device, from, to);
  }

  /** Failures while refreshing leave what is shown; the connection's state is told elsewhere. */
  const quietly = (work: Promise<void>): void => {
    work.catch(() => undefined);
  };
  let timers: number[] = [];
  store.on(['selected'], ({ selected }) => {
    timers.forEach(clearInterval);
    timers = [];
    trail.clear();
    shown = null;
    details = null;
    renameForm.hidden = true;
    facts.replaceChildren();
    chart.say(texts.loading);
    if (!selected) return;
    setText(title, selected.device);
    quietly(refreshTrack());
    if (hasHistory) quietly(trips.show(selected.device));
    quietly(attributes.show());
    // What is reported now says nothing of the past.
    reported.hidden = selected.layer === 'replay';
    happened.hidden = reported.hidden || !hasHistory;
    if (selected.layer === 'replay') {
      timers = [window.setInterval(() => quietly(attributes.refresh()), DETAILS_MS)];
      return;
    }
    quietly(refreshDetails());
    if (hasHistory) {
      quietly(events.show(selected.device));
      quietly(commands.show(selected.device));
    }
    timers = [
      window.setInterval(() => {
        quietly(refreshDetails());
        quietly(commands.follow());
      }, DETAILS_MS),
      window.setInterval(() => {
        quietly(refreshTrack());
        quietly(attributes.refresh());
        if (hasHistory) quietly(commands.refresh());
      }, TRACK_MS),
    ];
  });
  store.on(['vehicle', 'fleets', 'stats'], ({ vehicle, selected, stats, fleets, replay }) => {
    if (!vehicle || !selected || vehicle.row.device !== selected.device) return;
    const { row, layer } = vehicle;
    const now = layer === 'replay' && replay ? replay.at : serverNow({ stats });
    setText(title, row.name);
    setText(subtitle, [texts.looks[row.look], fleets.find((f) => f.id === row.fleet)?.name ?? '', row.name === row.device ? '' : row.device]
      .filter((t) => t !== '').join(' · '));
    past.hidden = layer !== 'replay';
    dot.className = `look look-${row.look}`;
    setText(speed, speedText(row.speedKmh));
    setText(bearing, course(row.courseDeg));
    setText(fixAge, age(now - row.fixTime));
    fixAge.title = utc(row.fixTime);
    if (layer === 'live') trail.reach(latOf(vehicle.y), lonOf(vehicle.x));
  });
  // While somebody draws, the map needs all the room.
  store.on(['selected', 'drawing'], ({ selected, drawing }) => {
    card.hidden = selected === null || drawing !== null;
    setText(chartTitle, selected?.layer === 'replay' ? texts.details.chartPast : texts.details.chart);
  });
  let { theme } = store.now.options;
  store.on(['options'], ({ options }) => {
    if (options.theme === theme) return;
    theme = options.theme;
    quietly(chart.restyle());
  });
  store.on(['follow'], (state) => follow.setAttribute('aria-pressed', String(state.follow)));
  return card;
}
