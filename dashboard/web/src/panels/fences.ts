/** Geofences: list, draw, name, colour, delete; what the server says against a shape is shown where it was drawn. */

import { api, messageOf } from '../api';
import type { App, Panel } from '../app';
import { lengthText } from '../format';
import { draw, type DrawKind, type Drawing, type Drawn } from '../map/draw';
import { DEFAULT_COLOUR, FENCE_COLOURS, boundsOf, circleOf, colourOf, corridorOf, polygonsOf } from '../map/fences';
import { reshape } from '../map/reshape';
import { mayEdit } from '../roles';
import { texts } from '../texts';
import { download, field, h, icon, iconButton, options, setText } from '../ui/dom';
import type { GeofenceFeature } from '../wire/types';
import { rulesFields } from './fence_rules';

/** Id of a shape that is not saved yet; no server gives it. */
const PREVIEW = '\u0000new';

export interface FencesPanel extends Panel {
  /** Shows that fence in the list. */
  reveal: (id: string) => void;
  /** Keys while drawing. True if taken. */
  key: (key: string) => boolean;
}

export function fencesPanel(app: App): FencesPanel {
  const { store } = app;
  const { map } = app.view;
  let drawing: Drawing | null = null;
  let closeEditor = (): void => undefined;

  const hint = h('p', { class: 'hint grow', role: 'status' });
  const guide = h('div', { class: 'field-row', hidden: true }, hint,
    h('button', { type: 'button', class: 'button small', onclick: () => drawing?.cancel() }, texts.cancel));
  const editor = h('div', { class: 'fence-editor' });
  const list = h('ul', { class: 'plain-list', aria: { label: texts.panels.fences } });
  const empty = h('p', { class: 'empty' }, texts.fences.empty);
  const tool = (kind: DrawKind): HTMLButtonElement => {
    const button = h('button', { type: 'button', class: 'button', title: texts.fences.draw, data: { draw: kind }, onclick: () => start(kind) });
    button.append(icon(kind), texts.fences[kind]);
    return button;
  };
  const file = h('input', { type: 'file', accept: '.geojson,.json,.kml,.wkt,.txt,application/geo+json', hidden: true, onchange: () => {
    const chosen = file.files?.[0];
    file.value = '';
    if (chosen) importFile(chosen).catch(app.report);
  } });
  const tools = h('div', { class: 'panel-tools' },
    h('div', { class: 'button-row' }, tool('polygon'), tool('circle'), tool('corridor')), guide);
  const more = h('div', { class: 'button-row panel-foot' },
    h('button', { type: 'button', class: 'button small', onclick: () => file.click() }, texts.fences.import),
    h('button', { type: 'button', class: 'button small', onclick: exportAll }, texts.fences.export), file);
  const mayDraw = mayEdit(store.now.session.role);
  tools.hidden = !mayDraw;

  function start(kind: DrawKind, then: (shape: Drawn) => void = openEditor): void {
    drawing?.cancel();
    if (then === openEditor) closeEditor();
    setText(hint, texts.fences.drawHints[kind]);
    guide.hidden = false;
    hint.classList.remove('error');
    drawing = draw(map, kind, (shape) => {
      drawing = null;
      guide.hidden = true;
      // The click that ends the drawing must not select what lies under it.
      setTimeout(() => store.set({ drawing: null }), 0);
      if (shape) then(shape);
    }, () => {
      setText(hint, texts.fences.tooLittle[kind]);
      hint.classList.add('error');
    });
    store.set({ drawing: kind });
  }

  /** For a new shape, or for an existing fence. */
  function openEditor(from: Drawn | GeofenceFeature): void {
    const existing = from.type === 'Feature' ? from : null;
    closeEditor();
    let shape: Drawn = from.type === 'Feature' ? { ...from.geometry, radius_m: from.properties.radius_m, width_m: from.properties.width_m } : from;
    let colour = existing ? colourOf(existing) : DEFAULT_COLOUR;
    const feature = (): GeofenceFeature => ({
      type: 'Feature', geometry: { type: shape.type, coordinates: shape.coordinates },
      properties: rules.apply({
        // What this editor doesn't know stays as it is.
        ...existing?.properties,
        id: existing?.properties.id ?? '', name: name.value.trim(), fleet: fleet.value || null, colour, version: existing?.properties.version ?? 0,
        ...(shape.radius_m === undefined ? {} : { radius_m: shape.radius_m }),
        ...(shape.type === 'LineString' ? { width_m: width.valueAsNumber || 0 } : {}),
      }),
    });
    const rules = rulesFields(existing?.properties ?? {});
    const width = h('input', { type: 'number', min: '1', step: 'any', value: String(shape.width_m ?? ''), oninput: () => preview() });
    const name = h('input', { value: existing?.properties.name ?? '', maxLength: 100, required: true });
    const fleet = h('select', {});
    options(fleet, [['', texts.fences.everyFleet], ...store.now.fleets.map((f) => [f.id, f.name] as const)], existing?.properties.fleet ?? '');
    /** A new fence is on the map before it is saved; one that changes is shown as it will be. */
    const preview = (): void => {
      const { properties, ...rest } = feature();
      put({ ...rest, properties: { ...properties, id: existing?.properties.id ?? PREVIEW } });
    };
    preview();
    const reshaping = reshape(map, shape, (changed) => {
      shape = changed;
      preview();
    });
    const swatches = FENCE_COLOURS.map((c) => h('button', {
      type: 'button', class: 'swatch', title: c, aria: { label: `${texts.fences.colour} ${c}`, pressed: String(c === colour) }, onclick: () => {
        colour = c;
        swatches.forEach((s, i) => s.setAttribute('aria-pressed', String(FENCE_COLOURS[i] === c)));
        preview();
      },
    }));
    swatches.forEach((s, i) => s.style.setProperty('--swatch', FENCE_COLOURS[i]));
    const error = h('p', { class: 'error', role: 'alert' });
    let kept = false;
    closeEditor = () => {
      closeEditor = () => undefined;
      // A hole that is being drawn has nothing to be cut from any more.
      drawing?.cancel();
      reshaping.stop();
      if (existing && !kept) put(existing);
      drop(PREVIEW);
      editor.replaceChildren();
    };
    const form = h('form', {
      class: 'form', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        if (name.value.trim() === '') {
          setText(error, texts.fences.needsName);
          return;
        }
        submit.disabled = true;
        const saved: Promise<unknown> = existing ? api.changeFence(feature()) : api.createFence(feature()).then(put);
        saved.then(() => {
          kept = true;
          closeEditor();
        }).catch((e: unknown) => {
          submit.disabled = false;
          setText(error, messageOf(e));
        });
      },
    });
    const submit = h('button', { type: 'submit', class: 'button primary' }, texts.save);
    const hole = h('button', { type: 'button', class: 'button small', data: { draw: 'hole' }, onclick: () => start('polygon', (drawn) => reshaping.cut(drawn)) },
      texts.fences.cutHole);
    form.append(
      h('h3', {}, existing ? texts.fences.editTitle : texts.fences.newTitle),
      h('p', { class: 'hint' }, shape.type === 'Point' ? texts.fences.reshapeCircleHint : texts.fences.reshapeHint),
      h('div', { class: 'button-row', hidden: shape.type !== 'Polygon' && shape.type !== 'MultiPolygon' }, hole),
      field(texts.fences.name, name),
      h('div', { class: 'field' }, h('span', {}, texts.fences.colour), h('div', { class: 'swatches' }, ...swatches)),
      field(texts.fences.fleet, fleet), ...(shape.type === 'LineString' ? [field(texts.fences.width, width)] : []), rules.element, error,
      h('div', { class: 'button-row' }, submit,
        h('button', { type: 'button', class: 'button', onclick: () => closeEditor() }, texts.cancel),
        existing !== null && h('button', { type: 'button', class: 'button danger', onclick: () => {
          if (!confirm(texts.fences.confirmDelete(existing.properties.name))) return;
          api.deleteFence(existing.properties.id).then(() => {
            kept = true;
            drop(existing.properties.id);
            closeEditor();
          }).catch((e: unknown) => setText(error, messageOf(e)));
        } }, texts.delete)));
    editor.replaceChildren(form);
    name.focus();
  }

  const put = (fence: GeofenceFeature): void => store.set({ fences: new Map(store.now.fences).set(fence.properties.id, fence) });
  const drop = (id: string): void => {
    const fences = new Map(store.now.fences);
    if (fences.delete(id)) store.set({ fences });
  };

  async function importFile(chosen: File): Promise<void> {
    const { features } = await api.importFences(await chosen.text());
    features.forEach(put);
    app.toast(texts.fences.imported(features.length));
  }

  function exportAll(): void {
    const collection = { type: 'FeatureCollection', features: [...store.now.fences.values()].filter((f) => f.properties.id !== PREVIEW) };
    download(new Blob([JSON.stringify(collection)], { type: 'application/geo+json' }), 'geofences.geojson');
  }

  function describe(fence: GeofenceFeature): string {
    const circle = circleOf(fence);
    if (circle) return texts.fences.radius(lengthText(circle.radius));
    const corridor = corridorOf(fence);
    if (corridor) return texts.fences.corridorOf(lengthText(corridor.width));
    const polygons = polygonsOf(fence);
    return polygons.length === 1 ? texts.fences.corners(Math.max(0, polygons[0][0].length - 1)) : texts.fences.parts(polygons.length);
  }

  store.on(['fences'], ({ fences }) => {
    const sorted = [...fences.values()].filter((f) => f.properties.id !== PREVIEW)
      .sort((a, b) => a.properties.name.localeCompare(b.properties.name, undefined, { numeric: true }));
    empty.hidden = sorted.length > 0;
    list.replaceChildren(...sorted.map((fence) => {
      const { id, name } = fence.properties;
      const swatch = h('span', { class: 'fence-swatch' });
      swatch.style.setProperty('--swatch', colourOf(fence));
      const item = h('li', { class: 'list-item', data: { fence: id } },
        h('button', {
          type: 'button', class: 'list-main', title: texts.fences.show, onclick: () => {
            map.flyToBounds(boundsOf(fence), { padding: [60, 60], maxZoom: 16, duration: 0.8 });
            app.highlightFence(id);
          },
        }, swatch, h('span', { class: 'row-main' }, h('span', { class: 'row-name' }, name), h('span', { class: 'row-sub' }, describe(fence)))),
        mayDraw && iconButton('edit', `${texts.edit} ${name}`, () => openEditor(fence)));
      item.onmouseenter = () => app.highlightFence(id);
      item.onmouseleave = () => app.highlightFence(null);
      return item;
    }));
  });

  return {
    element: h('div', { class: 'panel-body list-panel' }, tools, editor, empty, h('div', { class: 'scroller' }, list), more),
    reveal: (id) => {
      const item = [...list.children].find((li) => li instanceof HTMLElement && li.dataset['fence'] === id);
      item?.scrollIntoView({ block: 'center' });
      if (item instanceof HTMLElement) item.querySelector('button')?.focus();
    },
    key: (key) => {
      if (!drawing) return false;
      if (key === 'Escape') drawing.cancel();
      else if (key === 'Backspace') drawing.undo();
      else if (key === 'Enter') drawing.finish();
      else return false;
      return true;
    },
  };
}
