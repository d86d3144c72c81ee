/** Elements without a framework. Text only ever goes in as text, so nothing a tracker sends becomes markup. */

type Child = Node | string | null | false;
type Props<T extends HTMLElement> = {
  [K in keyof T]?: T[K] extends ((...args: never[]) => unknown) | null ? T[K] : T[K] extends string | number | boolean | null ? T[K] : never;
} & { class?: string; data?: Record<string, string>; aria?: Record<string, string>; role?: string };

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props<HTMLElementTagNameMap[K]> = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { class: className, data, aria, role, ...rest } = props as Props<HTMLElement>;
  if (className !== undefined) element.className = className;
  if (role !== undefined) element.setAttribute('role', role);
  for (const [k, v] of Object.entries(data ?? {})) element.dataset[k] = v;
  for (const [k, v] of Object.entries(aria ?? {})) element.setAttribute(`aria-${k}`, v);
  Object.assign(element, rest);
  element.append(...children.filter((c): c is Node | string => c !== null && c !== false));
  return element;
}

/** 20 px line icons, drawn for this project. */
const ICONS = {
  vehicles: 'M3 12V7.5L5 4h7l2.5 3.5H16l1 1V13h-1.6M11.4 13H7.6M3 12v1h.6M5.6 14.6a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4ZM13.4 14.6a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4ZM3.4 7.6h10.8',
  fences: 'M10 2.8 16.5 7l-2 8.5h-9L3.5 7Z',
  alerts: 'M5 8.5a5 5 0 0 1 10 0c0 4 1.5 5 1.5 5h-13S5 12.500 5 8.500M8.300 16a1.800 1.800 0 0 0 3.400 0',
  replay: 'M4 10a6 6 0 1 0 2-4.500M4 3.500v3h3M10 7v3.300l2.200 1.400',
  trips: 'M5.500 16.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM14.500 7.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM7.500 14.500H13a2.500 2.500 0 0 0 0-5H7a2.500 2.500 0 0 1 0-5h5.500',
  sql: 'M4 5c0-1.100 2.700-2 6-2s6 .9 6 2-2.700 2-6 2-6-.9-6-2ZM4 5v10c0 1.100 2.700 2 6 2s6-.9 6-2V5M4 10c0 1.100 2.700 2 6 2s6-.9 6-2',
  help: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM7.800 8a2.200 2.200 0 1 1 3.200 2c-.7.400-1 .8-1 1.600M10 13.900v.1',
  close: 'M5 5l10 10M15 5 5 15',
  sun: 'M10 13.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7ZM10 2.500v1.500M10 16v1.500M2.500 10H4M16 10h1.500M4.700 4.700l1 1M14.300 14.300l1 1M15.300 4.700l-1 1M5.700 14.300l-1 1',
  moon: 'M16 11.500A6.500 6.500 0 0 1 8.500 4 6.500 6.500 0 1 0 16 11.500Z',
  user: 'M10 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM4 16.500c.6-3 3-4.500 6-4.500s5.400 1.500 6 4.500',
  polygon: 'M4 14 6 5l8-1.500 2.500 8L11 16.500Z',
  circle: 'M10 16a6 6 0 1 0 0-12 6 6 0 0 0 0 12ZM10 10h5.500',
  corridor: 'M3 13.500 8 6l4 6 5-5.500M3 17l5-7.500 4 6 5-5.500',
  play: 'M6 4v12l10-6Z',
  pause: 'M6.500 4v12M13.500 4v12',
  back: 'M10 5 4 10l6 5V5ZM16 5l-6 5 6 5V5Z',
  forward: 'M10 5l6 5-6 5V5ZM4 5l6 5-6 5V5Z',
  fit: 'M3.500 7V3.500H7M13 3.500h3.500V7M16.500 13v3.500H13M7 16.500H3.500V13',
  edit: 'M4 16l.8-3.200L13.300 4.300l2.400 2.400-8.500 8.500ZM11.800 5.800l2.400 2.400',
  bin: 'M4 6h12M8 6V4h4v2M5.500 6l.7 10.500h7.600L14.500 6',
  target: 'M10 15a5 5 0 1 0 0-10 5 5 0 0 0 0 10ZM10 2.500V6M10 14v3.500M2.500 10H6M14 10h3.500',
  label: 'M3.500 6.500h9l4 3.500-4 3.500h-9Z',
  link: 'M8.500 11.500a3 3 0 0 0 4.200 0l3-3a3 3 0 0 0-4.200-4.200l-1 1M11.500 8.500a3 3 0 0 0-4.200 0l-3 3a3 3 0 0 0 4.200 4.200l1-1',
  group: 'M7 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM14 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM8.500 17a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z',
  measure: 'M3 13 13 3l4 4L7 17ZM6 10l1.500 1.500M8.500 7.500 11 10M11 5l1.500 1.500',
  speed: 'M3.500 14a7 7 0 1 1 13 0M10 12l3.500-4.500M10 13.200a1.200 1.200 0 1 0 0-2.400 1.200 1.200 0 0 0 0 2.400Z',
  check: 'M4 10.500 8.200 15 16 5.500',
  eye: 'M2.500 10S5.500 5 10 5s7.500 5 7.500 5-3 5-7.500 5-7.500-5-7.500-5ZM10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z',
  eyeOff: 'M2.500 10S5.500 5 10 5s7.500 5 7.500 5-3 5-7.500 5-7.500-5-7.500-5ZM4 16.500 16 3.500',
  heat: 'M10 17a4.500 4.500 0 0 0 4.500-4.500c0-3-3-4-2.500-9-3.500 1.500-6.500 5-6.500 9A4.500 4.500 0 0 0 10 17ZM10 17a2 2 0 0 0 2-2c0-1.200-1-1.800-1-3.200-1.500.7-3 2-3 3.200a2 2 0 0 0 2 2Z',
  enter: 'M9 4h6.500v12H9M3 10h8.500M8.500 7l3 3-3 3',
  exit: 'M11 4H4.500v12H11M8 10h8.500M13.500 7l3 3-3 3',
  trip_start: 'M6 4v12l10-6Z',
  trip_end: 'M5.500 5.500h9v9h-9Z',
} as const;
export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon and tells its name to everybody. */
export function iconButton(name: IconName, label: string, onclick: () => void, className = 'icon-button'): HTMLButtonElement {
  const button = h('button', { class: className, type: 'button', title: label, onclick, aria: { label } });
  button.append(icon(name));
  return button;
}

export function field(label: string, control: HTMLElement): HTMLLabelElement {
  return h('label', { class: 'field' }, h('span', {}, label), control);
}

export function options<T extends string>(select: HTMLSelectElement, entries: readonly (readonly [T, string])[], value: T): void {
  select.replaceChildren(...entries.map(([v, text]) => h('option', { value: v }, text)));
  select.value = value;
}

/** All time zones; the browser's own unless another is chosen. */
export function timeZones(chosen = Intl.DateTimeFormat().resolvedOptions().timeZone): HTMLSelectElement {
  const select = h('select', {});
  options(select, [...new Set([chosen, ...Intl.supportedValuesOf('timeZone')])].sort().map((name) => [name, name] as const), chosen);
  return select;
}

/** What stands on lines of its own, or between commas. */
export const lines = (text: string): string[] => text.split(/[\n,;]/).map((line) => line.trim()).filter((line) => line !== '');

/** A phone, where panels are sheets over the map. */
export const isNarrow = (): boolean => matchMedia('(max-width: 700px)').matches;

/** Whom motion makes ill has told the system so. */
export const isStill = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** Changes the text only if it differs: no layout work 4 times a second for nothing. */
export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** A time in the browser's zone that shows UTC when pointed at. */
export function timeElement(text: string, utc: string): HTMLTimeElement {
  return h('time', { title: utc, dateTime: utc.replace(' UTC', 'Z').replace(' ', 'T') }, text);
}

export function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const a = h('a', { href: url, download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
