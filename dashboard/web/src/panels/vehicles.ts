/** The list of vehicles: only the visible rows exist, and only they are refreshed. */

import type { App, Panel } from '../app';
import { age, speedText } from '../format';
import { followDeviceFilter } from '../device_filter';
import { looksAround } from '../roles';
import { serverNow, type State } from '../state';
import { texts } from '../texts';
import { field, h, options, setText } from '../ui/dom';
import { whenShown } from '../ui/when_shown';
import type { Filter, SortKey, VehicleRow } from '../worker/protocol';
import { listKeys } from './list_keys';
import { transfersButton } from './transfers';
import { unknownDevicesButton } from './unknown_devices';

const ROW_PX = 46;
/** Rows beyond the visible ones, so that scrolling does not show blanks. */
const SPARE_ROWS = 6;
/** Browsers lay out no element beyond about 33 million px. */
const MAX_ROWS = 700_000;

interface Row {
  element: HTMLButtonElement;
  dot: HTMLElement;
  name: HTMLElement;
  sub: HTMLElement;
  speed: HTMLElement;
  age: HTMLElement;
  device: string;
}

function createRow(onclick: (device: string) => void): Row {
  const dot = h('span', { class: 'look' });
  const name = h('span', { class: 'row-name' });
  const sub = h('span', { class: 'row-sub' });
  const speed = h('span', { class: 'row-speed' });
  const ageText = h('span', { class: 'row-sub' });
  const element = h('button', { type: 'button', class: 'vehicle-row' }, dot,
    h('span', { class: 'row-main' }, name, sub), h('span', { class: 'row-side' }, speed, ageText));
  const row: Row = { element, dot, name, sub, speed, age: ageText, device: '' };
  element.onclick = () => onclick(row.device);
  return row;
}

export function vehiclesPanel(app: App): Panel {
  const { store, engine } = app;
  const setFilter = (patch: Partial<Filter>): void => {
    store.set({ filter: { ...store.now.filter, ...patch } });
    scroller.scrollTop = 0;
    ask();
  };
  const search = h('input', {
    type: 'search', value: store.now.filter.text, placeholder: texts.vehicles.search, class: 'search', aria: { label: texts.vehicles.search }, data: { search: '' },
    oninput: () => setFilter({ text: search.value }),
    onkeydown: (event: KeyboardEvent) => {
      if (event.key !== 'ArrowDown') return;
      event.preventDefault();
      keys.go(0);
    },
  });
  const fleetSelect = h('select', { onchange: () => setFilter({ fleet: fleetSelect.value || null }) });
  const fleetField = field(texts.vehicles.fleet, fleetSelect);
  const fenceSelect = h('select', { onchange: () => setFilter({ fence: fenceSelect.value || null }) });
  const attribute = h('input', {
    value: store.now.filter.attribute, placeholder: texts.vehicles.attributeExample, onchange: () => setFilter({ attribute: attribute.value.trim() }),
  });
  const attributeFault = h('p', { class: 'error', role: 'alert' });
  followDeviceFilter(app, (message) => setText(attributeFault, message));
  const more = h('details', { class: 'rules', open: store.now.filter.fence !== null || store.now.filter.attribute !== '', ontoggle: () => chooseFences(store.now.fences) },
    h('summary', {}, texts.vehicles.more), h('div', { class: 'field-row' }, field(texts.vehicles.fence, fenceSelect), field(texts.vehicles.attribute, attribute)),
    h('p', { class: 'hint' }, texts.vehicles.filterAge), attributeFault);
  more.hidden = !looksAround(store.now);
  // There may be ten thousand.
  const chooseFences = whenShown<State['fences']>(() => store.now.panel === 'vehicles' && more.open && !more.hidden, (fences) => {
    const { compare } = new Intl.Collator();
    const sorted = [...fences.values()].map(({ properties: { id, name } }) => [id, name] as const).sort((a, b) => compare(a[1], b[1]));
    options(fenceSelect, [['', texts.vehicles.anywhere], ...sorted], store.now.filter.fence ?? '');
  });
  store.on(['fences', 'panel'], ({ fences }) => chooseFences(fences));
  const sortSelect = h('select', { onchange: () => setFilter({ sort: sortSelect.value as SortKey }) });
  options(sortSelect, Object.entries(texts.vehicles.sorts) as [SortKey, string][], store.now.filter.sort);
  store.on(['fleets'], ({ fleets, filter }) => {
    options(fleetSelect, [['', texts.vehicles.allFleets], ...fleets.map((f) => [f.id, f.name] as const)], filter.fleet ?? '');
    fleetField.hidden = fleets.length < 2;
  });

  // It changes elsewhere too: what it names is gone, or another address is opened.
  store.on(['filter'], ({ filter }) => {
    if (search.value !== filter.text) search.value = filter.text;
    // What is being typed is not in the filter yet.
    if (document.activeElement !== attribute) attribute.value = filter.attribute;
    fleetSelect.value = filter.fleet ?? '';
    fenceSelect.value = filter.fence ?? '';
    sortSelect.value = filter.sort;
  });

  const chips = texts.looks.map((name, look) => {
    const count = h('span', { class: 'chip-count' });
    const chip = h('button', {
      type: 'button', class: 'chip', title: texts.looksHint[look], onclick: () => {
        const { looks } = store.now.filter;
        setFilter({ looks: looks.includes(look) ? looks.filter((l) => l !== look) : [...looks, look] });
      },
    }, h('span', { class: `look look-${look}` }), name, ' ', count);
    return { chip, count };
  });
  const summary = h('span', { class: 'summary', role: 'status' });
  const unknown = unknownDevicesButton(app);
  const empty = h('p', { class: 'empty', hidden: true });
  const spacer = h('div', { class: 'spacer' });
  store.on(['stats', 'filter', 'panel'], ({ stats, filter, panel }) => {
    // Four times a second, for nobody.
    if (panel !== 'vehicles') return;
    chips.forEach(({ chip, count }, look) => {
      const n = stats?.looks[look] ?? 0;
      setText(count, n.toLocaleString());
      chip.setAttribute('aria-pressed', String(filter.looks.includes(look)));
      chip.hidden = n === 0 && !filter.looks.includes(look);
    });
    const { matching, count } = stats ?? { matching: 0, count: 0 };
    setText(summary, matching === count ? texts.vehicles.count(count) : texts.vehicles.of(matching, count));
    setText(empty, count === 0 ? texts.vehicles.empty : texts.vehicles.none);
    empty.hidden = matching > 0 || stats === null;
  });

  const scroller = h('div', { class: 'scroller', tabIndex: -1, onscroll: () => ask() }, spacer);
  const rows: Row[] = [];
  let total = 0;
  let first = 0;
  let asked = '';
  const keys = listKeys(scroller, { rowPx: ROW_PX, rows: () => rows.map((r) => r.element), from: () => first, total: () => Math.min(total, MAX_ROWS) });

  function ask(): void {
    if (!element.isConnected || element.hidden) return;
    const from = Math.max(0, Math.floor(scroller.scrollTop / ROW_PX) - SPARE_ROWS);
    const to = from + Math.ceil(scroller.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
    const key = `${from}-${to}`;
    if (key === asked) return;
    asked = key;
    engine.wantRows(from, to);
  }

  function fill(row: Row, vehicle: VehicleRow, index: number): void {
    const { element, dot, name, sub, speed } = row;
    const { selected, fleets } = store.now;
    row.device = vehicle.device;
    element.dataset['device'] = vehicle.device;
    element.style.transform = `translateY(${index * ROW_PX}px)`;
    element.setAttribute('aria-current', String(selected?.layer === 'live' && selected.device === vehicle.device));
    dot.className = `look look-${vehicle.look}`;
    dot.title = texts.looks[vehicle.look];
    setText(name, vehicle.name);
    const fleet = fleets.length > 1 ? (fleets.find((f) => f.id === vehicle.fleet)?.name ?? '') : '';
    setText(sub, [vehicle.device === vehicle.name ? '' : vehicle.device, fleet].filter((t) => t !== '').join(' · ') || texts.looks[vehicle.look]);
    setText(speed, speedText(vehicle.speedKmh));
    setText(row.age, age(serverNow(store.now) - vehicle.fixTime));
  }

  engine.on('rows', (reply) => {
    if (reply.total !== total) {
      total = reply.total;
      spacer.style.height = `${Math.min(total, MAX_ROWS) * ROW_PX}px`;
    }
    while (rows.length < reply.rows.length) {
      const row = createRow((device) => {
        app.goTo('live', device).catch(app.report);
      });
      rows.push(row);
      spacer.append(row.element);
    }
    rows.forEach((row, i) => {
      row.element.hidden = i >= reply.rows.length;
      if (i < reply.rows.length) fill(row, reply.rows[i], reply.from + i);
    });
    first = reply.from;
    keys.filled();
  });

  const element = h('div', { class: 'panel-body list-panel' },
    h('div', { class: 'panel-tools' }, search,
      h('div', { class: 'field-row' }, fleetField, field(texts.vehicles.sort, sortSelect)),
      more, h('div', { class: 'chips' }, ...chips.map((c) => c.chip)), summary, unknown.element, transfersButton(app)),
    empty, scroller);
  new ResizeObserver(() => {
    asked = '';
    ask();
  }).observe(scroller);
  // Rows that nobody sees are not told of, four times a second.
  store.on(['panel'], ({ panel }) => panel !== 'vehicles' && engine.wantRows(0, 0));
  return {
    element,
    shown: () => {
      asked = '';
      ask();
      unknown.shown();
    },
  };
}
