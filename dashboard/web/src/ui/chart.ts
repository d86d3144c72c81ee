/** A small chart of one quantity over time. A moment of it can be pointed at and chosen, by mouse, finger or keys. */

import { time } from '../format';
import type { ChartData } from '../sql/answer';
import type { Plot } from '../sql/plot';
import { h, setText } from './dom';

/** No report for that long is a hole in the line. */
const GAP_MS = 5 * 60_000;
/** Below it a quantity that hardly changes would fill the chart. */
const LEAST_TOP = 10;
/** So many presses of an arrow lead from one end to the other. */
const KEY_STEPS = 100;

export interface ChartPoint { t: number; v: number }

/** The points, and nothing between two that are far apart. */
export function withHoles(points: readonly ChartPoint[]): ChartData {
  const x: number[] = [], values: (number | null)[] = [];
  points.forEach(({ t, v }, i) => {
    if (i > 0 && t - points[i - 1].t > GAP_MS) {
      x.push((points[i - 1].t + 1) / 1000);
      values.push(null);
    }
    x.push(t / 1000);
    values.push(v);
  });
  return { x, lines: [{ label: '', values }] };
}

/** So many values on, or back; never into a hole. */
export function stepped(values: readonly (number | null)[], from: number, by: number): number {
  const wanted = Math.max(0, Math.min(values.length - 1, from + by));
  return values[wanted] === null ? wanted + Math.sign(by) : wanted;
}

export interface MomentChart {
  element: HTMLElement;
  show: (points: readonly ChartPoint[], from: number, to: number) => Promise<void>;
  /** Words in place of it. */
  say: (words: string) => void;
  /** Draws it anew: a canvas keeps the colours that it was drawn with. */
  restyle: () => Promise<void>;
}

/** `text` of a value; `point` tells the moment that is pointed at, `pick` the one that is chosen. */
export function momentChart(
  { label, text, point, pick }: { label: string; text: (v: number) => string; point: (t: number | null) => void; pick: (t: number) => void },
): MomentChart {
  let points: readonly ChartPoint[] = [];
  let data: ChartData = withHoles([]);
  let range: [from: number, to: number] = [0, 1];
  let plotted: Plot | null = null;
  /** A value's place in `data`; null: none is pointed at. */
  let at: number | null = null;

  const readout = h('p', { class: 'chart-readout' });
  const words = h('p', { class: 'muted' });
  const box = h('div', {
    class: 'chart-plot', role: 'slider', tabIndex: 0, hidden: true, aria: { label, valuemin: '0' },
    onclick: () => choose(),
    onblur: () => {
      plotted?.point(null);
      move(null);
    },
    onkeydown: (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !key(event.key)) return;
      // Elsewhere these keys move the map and the replay.
      event.preventDefault();
      event.stopPropagation();
    },
  });
  const element = h('div', { class: 'chart-box' }, box, readout, words);

  /** To a value, or the one before where there is a hole; null: to none. */
  function move(index: number | null): void {
    const { values } = data.lines[0];
    at = index !== null && values[index] === null ? index - 1 : index;
    const shown = at ?? values.length - 1;
    const said = values.length === 0 ? '' : `${time(Math.round(data.x[shown] * 1000))} · ${text(values[shown] ?? 0)}`;
    // Nobody pointed yet: room is kept for what will be said.
    setText(readout, at === null ? '\u00a0' : said);
    box.setAttribute('aria-valuemax', String(Math.max(0, values.length - 1)));
    box.setAttribute('aria-valuenow', String(Math.max(0, shown)));
    box.setAttribute('aria-valuetext', said);
    point(at === null ? null : Math.round(data.x[at] * 1000));
  }

  function choose(): void {
    if (at !== null) pick(Math.round(data.x[at] * 1000));
  }

  function key(name: string): boolean {
    const last = data.x.length - 1;
    const step = Math.max(1, Math.round(last / KEY_STEPS));
    const steps: Record<string, number> = {
      ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -10 * step, PageUp: 10 * step, Home: -last, End: last,
    };
    const by = steps[name];
    if (by !== undefined) {
      move(stepped(data.lines[0].values, at ?? last, by));
      plotted?.point(at);
    } else if (name === 'Enter') choose();
    else return false;
    return true;
  }

  async function draw(): Promise<void> {
    box.hidden = points.length < 2;
    words.hidden = !box.hidden;
    readout.hidden = box.hidden;
    if (box.hidden) return;
    if (plotted) {
      plotted.setData(data);
      return;
    }
    const { plot } = await import('../sql/plot');
    if (plotted || box.hidden) return;
    plotted = plot(box, data, { range: () => [range[0] / 1000, range[1] / 1000], leastTop: LEAST_TOP, onPoint: (index) => move(index) });
    move(null);
  }

  return {
    element,
    show: (fresh, from, to) => {
      points = fresh;
      data = withHoles(points);
      range = [from, to];
      if (at !== null && at >= data.x.length) at = null;
      return draw();
    },
    say: (said) => {
      points = [];
      data = withHoles(points);
      plotted?.remove();
      plotted = null;
      if (at !== null) move(null);
      box.hidden = true;
      readout.hidden = true;
      words.hidden = false;
      setText(words, said);
    },
    restyle: () => {
      plotted?.remove();
      plotted = null;
      return draw();
    },
  };
}
