/** Lines over time. Loaded when a chart is first wanted. */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { date, time, timeOfDay, zoned } from '../format';
import type { ChartData } from './answer';

const COLOURS = ['--look-0', '--look-1', '--accent', '--look-5', '--look-3', '--look-2'];
const DAY_S = 86_400;
/** Room for the legend below the plot, px. */
const LEGEND_PX = 44;
/** Room for the axes of a small plot, x and y, and how far their figures are from them, px. */
const SMALL_AXES_PX = [24, 34];
const SMALL_GAP_PX = 4;

/** A small plot of one line: without a legend, with holes where values are missing, from nought on. */
export interface Small {
  /** What x shows, seconds, whatever the data are. */
  range: () => [from: number, to: number];
  /** The top of y is no lower. */
  leastTop: number;
  /** The cursor is at another value; null: at none. */
  onPoint: (index: number | null) => void;
}

export interface Plot {
  setData: (data: ChartData) => void;
  /** Puts the cursor there, without telling. */
  point: (index: number | null) => void;
  remove: () => void;
}

const aligned = ({ x, lines }: ChartData): uPlot.AlignedData => [x, ...lines.map((line) => line.values)];

/** Fills the box and follows its size. */
export function plot(box: HTMLElement, data: ChartData, small: Small | null = null): Plot {
  const style = getComputedStyle(box);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--muted'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 } };
  const size = (): { width: number; height: number } =>
    ({ width: Math.max(100, box.clientWidth), height: Math.max(80, box.clientHeight - (small ? 0 : LEGEND_PX)) });
  const axes: uPlot.Axis[] = [
    { ...axis, values: (_, times, _axis, _space, step) => times.map((t) => (step >= DAY_S ? date(t * 1000) : timeOfDay(t * 1000).slice(0, step >= 60 ? -3 : undefined))) }, axis,
  ];
  const chart = new uPlot({
    ...size(),
    // The user's zone, in which the tables are too.
    tzDate: (seconds) => zoned(seconds * 1000),
    axes: small ? axes.map((one, i) => ({ ...one, size: SMALL_AXES_PX[i], gap: SMALL_GAP_PX, ticks: { ...axis.ticks, size: SMALL_GAP_PX } })) : axes,
    series: [
      { value: (_, seconds) => (seconds === null || seconds === undefined ? '' : time(seconds * 1000)) },
      ...data.lines.map(({ label }, i) => ({
        label, stroke: colour(COLOURS[i % COLOURS.length]), width: 1.5, spanGaps: small === null,
        ...(i < COLOURS.length ? {} : { dash: [6, 4] }),
      })),
    ],
    ...(small ? {
      legend: { show: false },
      // A click is for a moment, not the beginning of a zoom.
      cursor: { drag: { x: false, y: false }, y: false },
      scales: { x: { range: small.range }, y: { range: (_: uPlot, _least: number, most: number): [number, number] => [0, Math.max(small.leastTop, Math.ceil((most || 0) / 10) * 10)] } },
      hooks: { setCursor: [({ cursor }: uPlot) => small.onPoint(cursor.idx ?? null)] },
    } : {}),
  }, aligned(data), box);
  const observer = new ResizeObserver(() => chart.setSize(size()));
  observer.observe(box);
  return {
    setData: (fresh) => chart.setData(aligned(fresh)),
    point: (index) => chart.setCursor(index === null ? { left: -10, top: -10 } : { left: chart.valToPos(chart.data[0][index], 'x'), top: 0 }, false),
    remove: () => {
      observer.disconnect();
      chart.destroy();
    },
  };
}
