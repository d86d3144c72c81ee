/** The list of geofences, with how many vehicles are inside of each: counted by the server while the list is shown. */

import type { App } from '../app';
import { lengthText } from '../format';
import { boundsOf, circleOf, colourOf, corridorOf, polygonsOf } from '../map/fences';
import { mayEdit } from '../roles';
import { texts } from '../texts';
import { h, icon, iconButton, isStill, setText } from '../ui/dom';
import type { GeofenceFeature } from '../wire/types';
import { groupOf, grouped } from './fence_groups';

export interface FenceList {
  elements: HTMLElement[];
  /** Shows that fence. */
  reveal: (id: string) => void;
}

export function fenceList(app: App, edit: (fence: GeofenceFeature) => void): FenceList {
  const { store, engine } = app;
  const { map } = app.view;
  const list = h('ul', { class: 'plain-list', aria: { label: texts.panels.fences } });
  const empty = h('p', { class: 'empty' }, texts.fences.empty);
  /** Null: not told yet. */
  let inside: Map<string, number> | null = null;
  const figures = new Map<string, HTMLElement>();
  const tell = (id: string, figure: HTMLElement): void => setText(figure, inside === null ? '' : texts.fences.inside(inside.get(id) ?? 0));
  const tellAll = (): void => figures.forEach((figure, id) => tell(id, figure));

  store.on(['panel'], ({ panel }) => {
    engine.countInside(panel === 'fences');
    inside = null;
    tellAll();
  });
  engine.on('inside', ({ whole, counts }) => {
    // What still comes after the list was left.
    if (store.now.panel !== 'fences') return;
    if (whole) {
      inside = new Map(counts);
      tellAll();
      return;
    }
    for (const [id, count] of counts) {
      inside?.set(id, count);
      const figure = figures.get(id);
      if (figure) tell(id, figure);
    }
  });

  function row(fence: GeofenceFeature): HTMLElement {
    const { id, name } = fence.properties;
    const swatch = h('span', { class: 'fence-swatch' });
    swatch.style.setProperty('--swatch', colourOf(fence));
    const figure = h('span', { class: 'row-side' });
    figures.set(id, figure);
    tell(id, figure);
    const item = h('li', { class: 'list-item', data: { fence: id } },
      h('button', {
        type: 'button', class: 'list-main', title: texts.fences.show, onclick: () => {
          showGroup(groupOf(fence), true);
          store.set({ follow: false });
          map.flyToBounds(boundsOf(fence), { padding: [60, 60], maxZoom: 16, ...(isStill() ? { animate: false } : { duration: 0.8 }) });
          app.highlightFence(id);
        },
      }, swatch, h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, name), h('span', { class: 'row-sub' }, describe(fence))), figure),
      mayEdit(store.now) && iconButton('edit', `${texts.edit} ${name}`, () => edit(fence)));
    item.onmouseenter = () => app.highlightFence(id);
    item.onmouseleave = () => app.highlightFence(null);
    return item;
  }

  const toggles = new Map<string, HTMLButtonElement>();
  const showGroup = (group: string, show: boolean): void => {
    const hidden = new Set(store.now.hiddenGroups);
    if (show !== hidden.has(group)) return;
    if (show) hidden.delete(group);
    else hidden.add(group);
    store.set({ hiddenGroups: hidden });
  };
  const tellToggles = (): void => toggles.forEach((toggle, group) => {
    const shown = !store.now.hiddenGroups.has(group);
    toggle.setAttribute('aria-pressed', String(shown));
    toggle.replaceChildren(icon(shown ? 'eye' : 'eyeOff'));
  });
  function heading(group: string): HTMLElement {
    const name = group || texts.fences.ungrouped;
    const toggle = iconButton('eye', texts.fences.showGroup(name), () => showGroup(group, store.now.hiddenGroups.has(group)));
    toggles.set(group, toggle);
    return h('li', { class: 'list-group', data: { group } }, h('h3', { class: 'grow' }, name), toggle);
  }

  store.on(['fences', 'session'], ({ fences }) => {
    const groups = grouped(fences.values());
    empty.hidden = groups.length > 0;
    figures.clear();
    toggles.clear();
    // Who has no groups sees none.
    const plain = groups.every(([group]) => group === '');
    list.replaceChildren(...groups.flatMap(([group, some]) => [...(plain ? [] : [heading(group)]), ...some.map(row)]));
    tellToggles();
    // Nothing could bring them back.
    if (plain) showGroup('', true);
  });
  store.on(['hiddenGroups'], tellToggles);

  return {
    elements: [empty, h('div', { class: 'scroller' }, list)],
    reveal: (id) => {
      const item = [...list.children].find((li) => li instanceof HTMLElement && li.dataset['fence'] === id);
      item?.scrollIntoView({ block: 'center' });
      if (item instanceof HTMLElement) item.querySelector('button')?.focus();
    },
  };
}

function describe(fence: GeofenceFeature): string {
  const circle = circleOf(fence);
  if (circle) return texts.fences.radius(lengthText(circle.radius));
  const corridor = corridorOf(fence);
  if (corridor) return texts.fences.corridorOf(lengthText(corridor.width));
  const polygons = polygonsOf(fence);
  return polygons.length === 1 ? texts.fences.corners(Math.max(0, polygons[0][0].length - 1)) : texts.fences.parts(polygons.length);
}
