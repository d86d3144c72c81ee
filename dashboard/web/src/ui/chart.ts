/** A small line chart of one quantity over time, as SVG. */

import { time } from '../format';

const W = 296;
const H = 76;
/** Room above the plot for its scale. */
const TOP = 14;
const SVG = 'http://www.w3.org/2000/svg';
/** No report for that long is a hole in the line. */
const GAP_MS = 5 * 60_000;

export interface ChartPoint { t: number; v: number }

/** SVG path of the points; a new part after each hole. */
export function chartPath(points: readonly ChartPoint[], from: number, to: number, top: number): string {
  const x = (t: number): string => (((t - from) / (to - from)) * W).toFixed(1);
  const y = (v: number): string => (H - (v / top) * (H - TOP)).toFixed(1);
  return points.map((p, i) => `${i === 0 || p.t - points[i - 1].t > GAP_MS ? 'M' : 'L'}${x(p.t)} ${y(p.v)}`).join('');
}

function node(name: string, attributes: Record<string, string>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [k, v] of Object.entries(attributes)) element.setAttribute(k, v);
  return element;
}

export function chart(points: readonly ChartPoint[], { from, to, unit, label }: { from: number; to: number; unit: string; label: string }): SVGElement {
  const highest = points.reduce((max, p) => Math.max(max, p.v), 0);
  const top = Math.max(10, Math.ceil(highest / 10) * 10);
  const svg = node('svg', { viewBox: `0 0 ${W} ${H + 16}`, class: 'chart', role: 'img', 'aria-label': `${label}: ${Math.round(highest)} ${unit}` });
  svg.append(
    node('line', { x1: '0', x2: String(W), y1: String(TOP), y2: String(TOP), class: 'chart-grid' }),
    node('line', { x1: '0', x2: String(W), y1: String(H), y2: String(H), class: 'chart-grid' }),
    node('path', { d: chartPath(points, from, to, top), class: 'chart-line' }));
  const text = (x: number, y: number, content: string, anchor: string): void => {
    const t = node('text', { x: String(x), y: String(y), 'text-anchor': anchor, class: 'chart-text' });
    t.textContent = content;
    svg.append(t);
  };
  text(0, TOP - 4, `${top} ${unit}`, 'start');
  text(0, H + 12, time(from).slice(0, -3), 'start');
  text(W, H + 12, time(to).slice(0, -3), 'end');
  return svg;
}
