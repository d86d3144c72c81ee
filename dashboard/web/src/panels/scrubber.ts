/** The way through a replay's time: a slider, above it alerts as ticks and, of one vehicle, its speed and where it stood. */

import { api } from '../api';
import type { App } from '../app';
import { kmhOf, speedText, time } from '../format';
import type { ReplaySession, State } from '../state';
import { texts } from '../texts';
import { h, setText } from '../ui/dom';
import { runs, speedAt, speedSql, standsAt, stopsSql, wayOf, type Way } from './way';

/** The slider's steps. */
const STEPS = 10_000;
/** The slider's thumb is 14 px wide: its centre runs from 7 px to 7 px before the end. */
const INSET = 7;
/** Of alerts, where the chart is below them, CSS px. */
const TICK_PX = 7;
/** The chart's top, so that a crawl is no race. */
const LEAST_TOP_MPS = 5;

/** The replayed vehicle that is looked at, or the only one. */
export function vehicleOf({ replay, selected }: State): string | null {
  if (!replay?.ready) return null;
  if (selected?.layer === 'replay' && replay.devices.includes(selected.device)) return selected.device;
  return replay.devices.length === 1 ? replay.devices[0] : null;
}

const shareOf = ({ from, to }: ReplaySession, at: number): number => (at - from) / Math.max(1, to - from);

/** `seek` is told while the slider is dragged, too. */
export function scrubber(app: App, seek: (at: number, dragging: boolean) => void): HTMLElement {
  const { store } = app;
  let way: Way | null = null;
  /** Of what `way` is, or will be. */
  let wanted = '';

  const put = (share: number, dragging: boolean): void => {
    const { replay } = store.now;
    if (replay) seek(replay.from + Math.max(0, Math.min(1, share)) * (replay.to - replay.from), dragging);
  };
  const slider = h('input', {
    type: 'range', min: '0', max: String(STEPS), step: '1', class: 'slider', aria: { label: texts.replay.seek },
    oninput: () => put(Number(slider.value) / STEPS, true),
  });
  const canvas = h('canvas', {
    class: 'ticks', aria: { hidden: 'true' }, onclick: ({ offsetX }: MouseEvent) => put((offsetX - INSET) / (canvas.clientWidth - 2 * INSET), false),
  });
  const needle = h('span', { class: 'needle', aria: { hidden: 'true' } });
  const value = h('span', { class: 'needle-value muted' });
  const box = h('div', { class: 'slider-box' }, h('div', { class: 'ticks-box' }, canvas, needle, value), slider);

  async function ask(device: string, replay: ReplaySession): Promise<void> {
    const mine = wanted;
    const [speeds, stops] = await Promise.all([api.sql(speedSql(device, replay)), api.sql(stopsSql(device, replay))]);
    if (mine !== wanted) return;
    way = wayOf(speeds.rows, stops.rows, replay);
    show(store.now);
  }

  let drawn: readonly [ReplaySession['alerts'], Way | null] | null = null;
  function show(state: State): void {
    const { replay } = state;
    if (!replay) {
      way = drawn = null;
      wanted = '';
      return;
    }
    const device = vehicleOf(state);
    const key = device === null ? '' : JSON.stringify([replay.id, device, replay.from, replay.to]);
    if (key !== wanted) {
      wanted = key;
      way = null;
      if (device !== null) ask(device, replay).catch(app.report);
    }
    const share = shareOf(replay, replay.at);
    slider.value = String(share * STEPS);
    needle.style.left = `calc(${INSET}px + ${share} * (100% - ${2 * INSET}px))`;
    const mps = way && speedAt(way, replay.at);
    const said = way && standsAt(way, replay.at) ? texts.replay.stands : mps === null ? '' : speedText(kmhOf(mps));
    setText(value, said);
    slider.setAttribute('aria-valuetext', [time(replay.at), said].filter((t) => t !== '').join(', '));
    box.classList.toggle('has-way', way !== null);
    if (drawn?.[0] === replay.alerts && drawn[1] === way) return;
    drawn = [replay.alerts, way];
    draw(canvas, replay, way);
  }
  store.on(['replay', 'selected'], show);
  new ResizeObserver(() => {
    const { replay } = store.now;
    if (replay) draw(canvas, replay, way);
  }).observe(canvas);
  return box;
}

function draw(canvas: HTMLCanvasElement, replay: ReplaySession, way: Way | null): void {
  const dpr = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(width * dpr));
  canvas.height = Math.max(1, Math.round(height * dpr));
  const c = canvas.getContext('2d');
  if (!c) return;
  c.scale(dpr, dpr);
  const style = getComputedStyle(canvas);
  const colour = (name: string): string => style.getPropertyValue(name);
  const x = (at: number): number => INSET + shareOf(replay, at) * (width - 2 * INSET);
  if (way) {
    c.fillStyle = colour('--bg-3');
    for (const { from, to } of way.stops) c.fillRect(x(from), TICK_PX, Math.max(1, x(to) - x(from)), height - TICK_PX);
    const top = way.speeds.reduce((most, { mps }) => Math.max(most, mps), LEAST_TOP_MPS);
    const y = (mps: number): number => height - 1 - (mps / top) * (height - TICK_PX - 3);
    c.strokeStyle = colour('--look-0');
    c.fillStyle = colour('--look-0');
    c.lineWidth = 1.2;
    c.lineJoin = 'round';
    for (const run of runs(way)) {
      const line = new Path2D();
      run.forEach(({ t, mps }, i) => (i === 0 ? line.moveTo(x(t), y(mps)) : line.lineTo(x(t), y(mps))));
      c.stroke(line);
      line.lineTo(x(run[run.length - 1].t), height);
      line.lineTo(x(run[0].t), height);
      c.globalAlpha = 0.18;
      c.fill(line);
      c.globalAlpha = 1;
    }
  }
  canvas.dataset['speeds'] = String(way?.speeds.length ?? 0);
  canvas.dataset['stops'] = String(way?.stops.length ?? 0);
  for (const { fix_time, kind } of replay.alerts) {
    c.fillStyle = colour(kind === 'exit' ? '--exit' : kind === 'enter' ? '--enter' : '--muted');
    c.fillRect(Math.round(x(fix_time)), 0, 1, way ? TICK_PX : height);
  }
}
