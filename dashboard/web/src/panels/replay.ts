/** Replay: choose vehicles and a time range here; the dock below the map plays them. */

import type { AskedReplay } from '../address';
import { api, messageOf } from '../api';
import type { App, Panel } from '../app';
import { age, fromLocalInput, time, timeOfDay, date, toLocalInput, utc } from '../format';
import { prefer, preferred } from '../prefs';
import type { ReplaySession } from '../state';
import { texts } from '../texts';
import { field, h, icon, iconButton, isNarrow, options, setText } from '../ui/dom';
import { alertRow } from './alerts';
import { exportMenu } from './export';
import { NAMED_AT_MOST } from '../worker/listing';
import { alertsOf } from './replay_events';
import { scrubber } from './scrubber';
import { stepper } from './stepping';

const HOUR_MS = 3_600_000;
/** 480: a day in three minutes. */
export const SPEEDS = [0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 480, 1000];
const DEFAULT_SPEED = 10;
/** How far back trails may go. */
const TRAILS_MS = [0, 60_000, 300_000, 900_000, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS];
/** A dragged slider asks for a hundred moments a second; the last one of such a while is sent. */
const SLIDER_MS = 100;
/** Rows below the form. */
const ALERTS_SHOWN = 300;

/** Null: as the speed suggests. */
export const preferredTrail = (): number | null => TRAILS_MS.find((ms) => String(ms) === preferred('trail')) ?? null;

export interface ReplayPanel extends Panel {
  dock: HTMLElement;
  start: App['replay'];
  /** Shows one as it was; null: none. */
  restore: (asked: AskedReplay | null) => void;
  /** Keys while a replay is open. True if taken. */
  key: (key: string) => boolean;
}

export function replayPanel(app: App): ReplayPanel {
  const { store, engine } = app;
  let nextId = 1;
  /** Moment at which the replay that is being opened begins. */
  let beginAt: number | null = null;
  let range: { from: number; to: number } | null = null;

  const who = h('select', { onchange: () => setText(error, '') });
  const from = h('input', { type: 'datetime-local', step: '1', required: true });
  const to = h('input', { type: 'datetime-local', step: '1', required: true });
  const speed = h('select', {});
  options(speed, SPEEDS.map((s) => [String(s), texts.replay.times(s)] as const), String(DEFAULT_SPEED));
  const error = h('p', { class: 'error', role: 'alert' });
  const known = h('p', { class: 'hint' });
  const submit = h('button', { type: 'submit', class: 'button primary' }, texts.replay.open);
  // Until it is known what history there is, a press would be lost.
  const preset = (label: string, span: number): HTMLButtonElement => h('button', {
    type: 'button', class: 'button small', disabled: true, onclick: () => {
      if (!range) return;
      setRange(Math.max(range.from, range.to - span), range.to);
    },
  }, label);
  const presets = [
    preset(texts.replay.preset.m15, HOUR_MS / 4), preset(texts.replay.preset.h1, HOUR_MS), preset(texts.replay.preset.h6, 6 * HOUR_MS),
    preset(texts.replay.preset.h24, 24 * HOUR_MS), preset(texts.replay.preset.all, Infinity),
  ];
  const alertsList = h('ul', { class: 'plain-list', aria: { label: texts.panels.alerts } });
  const form = h('form', {
    class: 'form', onsubmit: (event: SubmitEvent) => {
      event.preventDefault();
      open().catch(app.report);
    },
  },
  field(texts.replay.who, who),
  h('div', { class: 'button-row', role: 'group', aria: { label: texts.replay.presets } }, ...presets),
  field(texts.replay.from, from), field(texts.replay.to, to), field(texts.replay.speed, speed), known, error, submit);

  store.on(['fleets', 'selected', 'vehicle', 'stats'], ({ fleets, selected, vehicle, stats }) => {
    const name = vehicle?.row.device === selected?.device ? vehicle?.row.name : undefined;
    const entries: [string, string][] = [];
    if (selected) entries.push([`device:${selected.device}`, texts.replay.selected(name ?? selected.device)]);
    entries.push(['all:', texts.replay.all], ...(fleets.length > 1 ? fleets.map((f): [string, string] => [`fleet:${f.id}`, f.name]) : []));
    if (stats && stats.matching < stats.count && stats.matching > 0 && stats.matching <= NAMED_AT_MOST) {
      entries.push(['listed:', texts.replay.listed(stats.matching)]);
    }
    const key = JSON.stringify(entries);
    if (who.dataset['key'] === key) return;
    const before = who.value;
    who.dataset['key'] = key;
    const keep = !selected || who.dataset['device'] === selected.device;
    who.dataset['device'] = selected?.device ?? '';
    options(who, entries, keep && entries.some(([v]) => v === before) ? before : entries[0][0]);
  });

  function setRange(a: number, b: number): void {
    from.value = toLocalInput(a);
    to.value = toLocalInput(b);
    from.title = utc(a);
    to.title = utc(b);
  }

  async function refreshRange(): Promise<void> {
    const answer = await api.historyRange();
    const first = range === null;
    range = answer.from === null || answer.to === null ? null : { from: answer.from, to: answer.to };
    for (const button of [submit, ...presets]) button.disabled = range === null;
    setText(known, range ? texts.replay.historyRange(time(range.from), time(range.to)) : texts.replay.noHistory);
    if (range && first && from.value === '') setRange(Math.max(range.from, range.to - HOUR_MS), range.to);
  }

  async function open(): Promise<void> {
    const a = fromLocalInput(from.value), b = fromLocalInput(to.value);
    if (!(b > a)) {
      setText(error, texts.replay.badRange);
      return;
    }
    const at = who.value.indexOf(':');
    const kind = who.value.slice(0, at), key = who.value.slice(at + 1);
    const devices = kind === 'device' ? [key] : kind === 'listed' ? await engine.listed() : null;
    // Others may be listed than a moment ago.
    const title = kind === 'listed' ? texts.replay.listed(devices?.length ?? 0) : (who.selectedOptions[0]?.textContent ?? '');
    begin({ title, devices, device: kind === 'device' ? key : null, fleet: kind === 'fleet' ? key : null }, { from: a, to: b }, null);
  }

  function begin(
    { title, devices, device, fleet }: { title: string; devices: readonly string[] | null; device: string | null; fleet: string | null },
    range: { from: number; to: number }, at: number | null,
  ): void {
    close();
    setText(error, '');
    const id = nextId++;
    beginAt = at;
    submit.disabled = true;
    setText(submit, texts.replay.opening);
    const asked = { ...range, speed: Number(speed.value) };
    store.set({
      replay: { id, title, asked: { devices, fleet }, device, ...asked, at: at ?? range.from, playing: false, done: false, ready: false, count: 0, applied: 0, devices: [], everybody: devices === null && fleet === null, alerts: [], alertsCut: false, error: null },
      follow: false,
    });
    engine.replay(id, { action: 'open', devices: devices && [...devices], fleet, ...asked });
  }

  const start: App['replay'] = (device, range, at) => {
    app.openPanel('replay');
    setRange(range.from, range.to);
    const name = store.now.vehicle?.row.device === device ? store.now.vehicle.row.name : device;
    begin({ title: texts.replay.selected(name), devices: [device], device, fleet: null }, range, at ?? null);
  };

  function restore(asked: AskedReplay | null): void {
    if (!asked) {
      close();
      return;
    }
    const { devices, fleet, from: a, to: b, at } = asked;
    setRange(a, b);
    const wanted = String(asked.speed);
    if (SPEEDS.some((s) => String(s) === wanted)) speed.value = wanted;
    const device = devices?.length === 1 ? devices[0] : null;
    const title = device !== null ? texts.replay.selected(device) : devices ? texts.replay.listed(devices.length)
      : fleet !== null ? (store.now.fleets.find((f) => f.id === fleet)?.name ?? fleet) : texts.replay.all;
    begin({ title, devices, device, fleet }, { from: a, to: b }, at);
  }

  const patch = (id: number, change: Partial<ReplaySession>): void => {
    const { replay } = store.now;
    if (replay?.id === id) store.set({ replay: { ...replay, ...change } });
  };
  const mayOpen = (): void => {
    submit.disabled = false;
    setText(submit, texts.replay.open);
  };
  engine.on('replayOpened', (opened) => {
    mayOpen();
    if (opened.error !== null) {
      setText(error, opened.error || texts.replay.lost);
      if (store.now.replay?.id === opened.id) store.set({ replay: null });
      return;
    }
    patch(opened.id, { ready: true, from: opened.from, to: opened.to, devices: opened.slots.map(([, device]) => device) });
    const session = store.now.replay;
    if (session?.id !== opened.id) return;
    const device = session.device ?? store.now.selected?.device;
    store.set({
      options: { ...store.now.options, live: false }, selected: device === undefined ? null : { layer: 'replay', device },
      // One vehicle may have been anywhere: the map goes where it goes.
      follow: session.device !== null,
    });
    // On a phone the sheet would cover the controls.
    if (isNarrow()) app.openPanel(null);
    if (beginAt !== null) seek(beginAt);
    engine.replay(opened.id, { action: 'play' });
    alertsOf(session, (alerts) => {
      patch(opened.id, { alerts });
      return store.now.replay?.id === opened.id;
    }).then((alertsCut) => patch(opened.id, { alertsCut }), app.report);
  });
  engine.on('replayState', (state) => patch(state.id, {
    at: state.at, playing: state.playing && !state.done, speed: state.speed, done: state.done, ...(state.error === undefined ? {} : { error: state.error }),
  }));
  engine.on('replayClock', ({ id, at, count, applied }) => patch(id, seeking === 0 ? { at, count, applied } : { count, applied }));

  function close(): void {
    const { replay, selected } = store.now;
    if (!replay) return;
    // Of one that is closed while it is being opened nothing is heard any more.
    mayOpen();
    engine.replay(replay.id, { action: 'close' });
    store.set({
      replay: null, options: { ...store.now.options, live: true },
      ...(selected?.layer === 'replay' ? { selected: { layer: 'live' as const, device: selected.device } } : {}),
    });
  }

  function toggle(): void {
    const { replay } = store.now;
    if (!replay?.ready) return;
    if (replay.done) seek(replay.from);
    engine.replay(replay.id, { action: replay.playing ? 'pause' : 'play' });
    patch(replay.id, { playing: !replay.playing, done: false });
  }

  /** Timer of a seek that is not sent yet. */
  let seeking = 0;
  function seek(at: number, afterMs = 0): void {
    const { replay } = store.now;
    if (!replay?.ready) return;
    const moment = Math.round(Math.max(replay.from, Math.min(replay.to, at)));
    patch(replay.id, { at: moment, done: false });
    clearTimeout(seeking);
    const send = (): void => {
      seeking = 0;
      engine.replay(replay.id, { action: 'seek', at: moment });
    };
    if (afterMs === 0) send();
    else seeking = window.setTimeout(send, afterMs);
  }
  const stepping = stepper(app, (at) => seek(at));

  // The dock.
  const playButton = iconButton('play', texts.replay.play, toggle, 'icon-button big');
  const track = scrubber(app, (at, dragging) => seek(at, dragging ? SLIDER_MS : 0));
  const clock = h('span', { class: 'replay-clock' });
  const day = h('span', { class: 'muted' });
  const count = h('span', { class: 'muted' });
  const dockTitle = h('span', { class: 'replay-title' });
  const dockError = h('span', { class: 'error', role: 'alert' });
  const dockSpeed = h('select', {
    aria: { label: texts.replay.speed }, onchange: () => {
      const { replay } = store.now;
      if (replay) engine.replay(replay.id, { action: 'speed', speed: Number(dockSpeed.value) });
    },
  });
  options(dockSpeed, SPEEDS.map((s) => [String(s), texts.replay.times(s)] as const), String(DEFAULT_SPEED));
  const trail = h('select', {
    aria: { label: texts.replay.trails }, onchange: () => {
      prefer('trail', trail.value);
      store.set({ options: { ...store.now.options, trailMs: trail.value === '' ? null : Number(trail.value) } });
    },
  });
  options(trail, [['', texts.replay.trailBySpeed], ...TRAILS_MS.map((ms) => [String(ms), ms === 0 ? texts.replay.noTrails : texts.replay.trail(age(ms))] as const)],
    String(store.now.options.trailMs ?? ''));
  const liveToo = h('input', {
    type: 'checkbox', onchange: () => store.set({ options: { ...store.now.options, live: liveToo.checked } }),
  });
  const dock = h('section', { class: 'dock replay-dock', hidden: true, aria: { label: texts.replay.region } },
    stepping.back, playButton, stepping.forward, stepping.size,
    h('div', { class: 'replay-time' }, clock, day), track, dockSpeed, trail,
    h('div', { class: 'replay-what' }, dockTitle, count, dockError),
    exportMenu(app), h('label', { class: 'check' }, liveToo, texts.replay.showLive), iconButton('close', texts.close, close));

  let listed: ReplaySession['alerts'] | null = null;
  store.on(['replay'], ({ replay }) => {
    dock.hidden = replay === null;
    if (!replay) {
      listed = null;
      alertsList.replaceChildren();
      return;
    }
    playButton.replaceChildren(icon(replay.playing ? 'pause' : 'play'));
    const label = replay.playing ? texts.replay.pause : texts.replay.play;
    playButton.title = label;
    playButton.setAttribute('aria-label', label);
    setText(clock, timeOfDay(replay.at));
    clock.title = utc(replay.at);
    setText(day, date(replay.at));
    setText(dockTitle, replay.title);
    setText(count, [texts.replay.count(replay.count), replay.alerts.length > 0 ? texts.replay.events(replay.alerts.length, replay.alertsCut) : ''].filter((t) => t).join(', '));
    setText(dockError, replay.error ?? '');
    if (document.activeElement !== dockSpeed) dockSpeed.value = String(replay.speed);
    if (listed !== replay.alerts) {
      listed = replay.alerts;
      alertsList.replaceChildren(...replay.alerts.slice(0, ALERTS_SHOWN).map((a) => {
        const row = alertRow(app, a, 'replay');
        row.addEventListener('click', () => seek(a.fix_time));
        return row;
      }), ...(replay.alerts.length > ALERTS_SHOWN ? [h('li', { class: 'hint' }, texts.replay.firstEvents(ALERTS_SHOWN))] : []));
    }
  });
  store.on(['options'], (state) => {
    liveToo.checked = state.options.live;
  });

  return {
    element: h('div', { class: 'panel-body list-panel' }, form, h('div', { class: 'scroller' }, alertsList)),
    dock,
    start,
    restore,
    shown: () => {
      refreshRange().catch((e: unknown) => setText(error, messageOf(e)));
    },
    key: (key) => {
      if (!store.now.replay) return false;
      if (key === ' ') toggle();
      else if (key === 'ArrowLeft') stepping.step(-1);
      else if (key === 'ArrowRight') stepping.step(1);
      else return false;
      return true;
    },
  };
}
