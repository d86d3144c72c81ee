/** The list of geofences, with how many vehicles are inside of each: counted by the server while the list is shown. */

import type { App } from '../app';
import { lengthText } from '../format';
import { boundsOf, circleOf, colourOf, corridorOf, polygonsOf } from '../map/fences';
import { mayEdit } from '../roles';
import { texts } from '../texts';
import { h, icon, iconButton, isStill, setText } from '../ui/dom';
import type { GeofenceFeature } from '../wire/types';
import { groupOf, keyOf, listed, type Listed } from './fence_groups';
import { tallList, type TallRow } from './tall_list';

export interface FenceList {
  elements: HTMLElement[];
  /** Shows that fence. */
  reveal: (id: string) => void;
}

export function fenceList(app: App, edit: (fence: GeofenceFeature) => void): FenceList {
  const { store, engine } = app;
  const { map } = app.view;
  const empty = h('p', { class: 'empty' }, texts.fences.empty);
  /** Null: not told yet. */
  let inside: Map<string, number> | null = null;

  const showGroup = (group: string, show: boolean): void => {
    const hidden = new Set(store.now.hiddenGroups);
    if (show !== hidden.has(group)) return;
    if (show) hidden.delete(group);
    else hidden.add(group);
    store.set({ hiddenGroups: hidden });
  };

  function heading(group: string): TallRow<Listed> {
    const name = group || texts.fences.ungrouped;
    const toggle = iconButton('eye', texts.fences.showGroup(name), () => showGroup(group, store.now.hiddenGroups.has(group)));
    return {
      element: h('li', { class: 'list-group', data: { group } }, h('h3', { class: 'grow', title: name }, name), toggle),
      fill: () => {
        const shown = !store.now.hiddenGroups.has(group);
        if (toggle.getAttribute('aria-pressed') === String(shown)) return;
        toggle.setAttribute('aria-pressed', String(shown));
        toggle.replaceChildren(icon(shown ? 'eye' : 'eyeOff'));
      },
    };
  }

  function row(first: GeofenceFeature): TallRow<Listed> {
    const { id } = first.properties;
    /** As it is now. */
    let fence = first;
    const swatch = h('span', { class: 'fence-swatch' });
    const name = h('span', { class: 'row-name' });
    const sub = h('span', { class: 'row-sub' });
    const figure = h('span', { class: 'row-side' });
    const change = iconButton('edit', texts.edit, () => edit(fence));
    const element = h('li', { class: 'list-item', data: { fence: id } },
      h('button', {
        type: 'button', class: 'list-main', title: texts.fences.show, onclick: () => {
          showGroup(groupOf(fence), true);
          store.set({ follow: false });
          map.flyToBounds(boundsOf(fence), { padding: [60, 60], maxZoom: 16, ...(isStill() ? { animate: false } : { duration: 0.8 }) });
          app.highlightFence(id);
        },
      }, swatch, h('span', { class: 'row-main' }, name, sub), figure),
      change);
    element.onmouseenter = () => app.highlightFence(id);
    element.onmouseleave = () => app.highlightFence(null);
    return {
      element,
      fill: (line) => {
        fence = line.fence ?? fence;
        swatch.style.setProperty('--swatch', colourOf(fence));
        setText(name, fence.properties.name);
        setText(sub, describe(fence));
        setText(figure, inside === null ? '' : texts.fences.inside(inside.get(id) ?? 0));
        change.title = `${texts.edit} ${fence.properties.name}`;
        change.setAttribute('aria-label', change.title);
        change.hidden = !mayEdit(store.now);
      },
    };
  }

  const list = tallList<Listed>(texts.panels.fences, ({ group, fence }) => (fence === null ? heading(group) : row(fence)));

  store.on(['panel'], ({ panel }) => {
    engine.countInside(panel === 'fences');
    inside = null;
    list.refill();
  });
  engine.on('inside', ({ whole, counts }) => {
    // What still comes after the list was left.
    if (store.now.panel !== 'fences') return;
    if (whole) inside = new Map(counts);
    else for (const [id, count] of counts) inside?.set(id, count);
    list.refill();
  });

  store.on(['fences', 'session', 'panel'], ({ fences, panel }) => {
    empty.hidden = fences.size > 0;
    // Ten thousand are not put in order for nobody.
    if (panel === 'fences') list.show(listed(fences.values()));
  });
  store.on(['fences'], ({ fences }) => {
    // Who has no groups has no heading that could bring them back.
    if ([...fences.values()].every((fence) => groupOf(fence) === '')) showGroup('', true);
  });
  store.on(['hiddenGroups'], () => list.refill());

  return { elements: [empty, list.element], reveal: (id) => list.reveal(keyOf(id)) };
}

function describe(fence: GeofenceFeature): string {
  const circle = circleOf(fence);
  if (circle) return texts.fences.radius(lengthText(circle.radius));
  const corridor = corridorOf(fence);
  if (corridor) return texts.fences.corridorOf(lengthText(corridor.width));
  const polygons = polygonsOf(fence);
  return polygons.length === 1 ? texts.fences.corners(Math.max(0, polygons[0][0].length - 1)) : texts.fences.parts(polygons.length);
}
