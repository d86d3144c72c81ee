/** What is known of the selected vehicle, its way and speed of the last hour, and what to do with it. */

import { api } from '../api';
import type { App } from '../app';
import { age, attribute, coordinates, course, lengthText, speedIn, speedText, speedUnit, time, utc } from '../format';
import { Trail } from '../map/trail';
import { texts } from '../texts';
import { h, iconButton, setText, timeElement } from '../ui/dom';
import { chart } from '../ui/chart';
import { showAccess } from './access';
import { showShareLinks } from './share';
import { entersDevices, looksAround, mayEdit } from '../roles';
import { handOverButton } from './transfers';
import { tripList } from './trips';
import type { DeviceDetails, TrackAnswer } from '../wire/types';
import { latOf, lonOf } from '../worker/mercator';

const HOUR_MS = 3_600_000;
/** How often details are fetched while shown, and the trail. */
const DETAILS_MS = 3_000;
const TRACK_MS = 15_000;
const TRACK_POINTS = 5_000;
const TRAIL_COLOUR = '#1476cc';
const PAST_COLOUR = '#7a2eb8';

export function detailsCard(app: App): HTMLElement {
  const { store } = app;
  const trail = new Trail(app.view.map);
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
  const attributes = h('dl', { class: 'facts attributes' });
  const chartBox = h('div', { class: 'chart-box', hidden: !looksAround(store.now.session.role) });
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
    type: 'button', class: 'button small', title: texts.share.buttonHint, hidden: !mayEdit(store.now.session.role), onclick: () => {
      const { selected } = store.now;
      if (selected) showShareLinks(app, selected.device, title.textContent ?? selected.device);
    },
  }, texts.share.button);
  const access = h('button', {
    type: 'button', class: 'button small', title: texts.access.buttonHint, hidden: !entersDevices(store.now.session.role), onclick: () => {
      const { selected } = store.now;
      if (selected) showAccess(selected.device, title.textContent ?? selected.device);
    },
  }, texts.access.button);
  const gpx = h('a', { class: 'button small', download: '' }, texts.details.exportGpx);
  const handOver = handOverButton(app);
  const hasHistory = looksAround(store.now.session.role);
  [trailButton, replayButton, gpx].forEach((element) => {
    element.hidden = !hasHistory;
  });

  const trips = tripList(app);
  const chartTitle = h('h3', { hidden: !hasHistory });
  const reported = h('div', { class: 'reported' }, facts, h('h3', {}, texts.details.attributes), attributes);
  const card = h('aside', { class: 'card', hidden: true, aria: { label: texts.details.region } },
    h('header', { class: 'card-head' }, dot, h('div', { class: 'grow' }, title, subtitle), past,
      iconButton('edit', texts.details.rename, () => toggleRename()),
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
      chartTitle, chartBox, trips.element, reported));

  function toggleRename(): void {
    const { session } = store.now;
    if (!details || !entersDevices(session.role)) return;
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
    const entries = Object.entries(position?.attributes ?? {});
    attributes.replaceChildren(...(entries.length === 0 ? [h('dd', { class: 'muted' }, texts.details.noAttributes)]
      : entries.flatMap(([name, value]) => {
        const { label, text } = attribute(name, value);
        const [dt, dd] = fact(label, text);
        dt.title = name;
        return [dt, dd];
      })));
  }

  async function refreshDetails(): Promise<void> {
    const device = store.now.selected?.device;
    if (device === undefined) return;
    const fresh = await api.device(device);
    if (store.now.selected?.device !== device) return;
    details = fresh;
    showDetails();
  }

  async function refreshTrack(): Promise<void> {
    const { selected, stats, replay } = store.now;
    if (!selected || !hasHistory) return;
    const past = selected.layer === 'replay' ? replay : null;
    const to = past?.to ?? Math.round(Date.now() + (stats?.clockOffset ?? 0));
    const from = past?.from ?? to - HOUR_MS;
    const track: TrackAnswer = await api.track(selected.device, from, to, TRACK_POINTS);
    if (store.now.selected !== selected) return;
    if (trailOn) trail.show(track.positions, past ? PAST_COLOUR : TRAIL_COLOUR);
    else trail.clear();
    const points = track.positions.flatMap((p) => (p.speed_mps === null ? [] : [{ t: p.fix_time, v: speedIn(p.speed_mps * 3.6) }]));
    chartBox.replaceChildren(points.length < 2 ? h('p', { class: 'muted' }, texts.details.chartNone)
      : chart(points, { from, to, unit: speedUnit(), label: texts.details.chart }));
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
    details = null;
    renameForm.hidden = true;
    facts.replaceChildren();
    attributes.replaceChildren();
    chartBox.replaceChildren(h('p', { class: 'muted' }, texts.loading));
    if (!selected) return;
    setText(title, selected.device);
    quietly(refreshTrack());
    if (hasHistory) quietly(trips.show(selected.device));
    // What is reported now says nothing of the past.
    reported.hidden = selected.layer === 'replay';
    if (selected.layer === 'replay') return;
    quietly(refreshDetails());
    timers = [
      window.setInterval(() => quietly(refreshDetails()), DETAILS_MS),
      window.setInterval(() => quietly(refreshTrack()), TRACK_MS),
    ];
  });
  store.on(['vehicle', 'fleets', 'stats'], ({ vehicle, selected, stats, fleets, replay }) => {
    if (!vehicle || !selected || vehicle.row.device !== selected.device) return;
    const { row, layer } = vehicle;
    const now = layer === 'replay' && replay ? replay.at : Date.now() + (stats?.clockOffset ?? 0);
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
  store.on(['follow'], (state) => follow.setAttribute('aria-pressed', String(state.follow)));
  return card;
}
