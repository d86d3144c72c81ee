/** An answer as lines over time. Loaded when a chart is first wanted. */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { date, time, timeOfDay, zoned } from '../format';
import type { ChartData } from './answer';

const COLOURS = ['--look-0', '--look-1', '--accent', '--look-5', '--look-3', '--look-2'];
const DAY_S = 86_400;
/** Room for the legend below the plot, px. */
const LEGEND_PX = 44;

/** Fills the box and follows its size. Returns how to take it away. */
export function plot(box: HTMLElement, { x, lines }: ChartData): () => void {
  const style = getComputedStyle(box);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--muted'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 } };
  const size = (): { width: number; height: number } => ({ width: Math.max(100, box.clientWidth), height: Math.max(80, box.clientHeight - LEGEND_PX) });
  const chart = new uPlot({
    ...size(),
    // The user's zone, in which the tables are too.
    tzDate: (seconds) => zoned(seconds * 1000),
    axes: [{ ...axis, values: (_, times, _axis, _space, step) => times.map((t) => (step >= DAY_S ? date(t * 1000) : timeOfDay(t * 1000).slice(0, step >= 60 ? -3 : undefined))) }, axis],
    series: [
      { value: (_, seconds) => (seconds === null || seconds === undefined ? '' : time(seconds * 1000)) },
      ...lines.map(({ label }, i) => ({
        label, stroke: colour(COLOURS[i % COLOURS.length]), width: 1.5, spanGaps: true,
        ...(i < COLOURS.length ? {} : { dash: [6, 4] }),
      })),
    ],
  }, [x, ...lines.map((line) => line.values)], box);
  const observer = new ResizeObserver(() => chart.setSize(size()));
  observer.observe(box);
  return () => {
    observer.disconnect();
    chart.destroy();
  };
}
