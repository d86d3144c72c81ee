/** Geofences: list, draw, name, colour, delete; what the server says against a shape is shown where it was drawn. */

import { api, messageOf } from '../api';
import type { App, Panel } from '../app';
import { shortLength } from '../format';
import { draw, type DrawKind, type Drawing, type Drawn } from '../map/draw';
import { DEFAULT_COLOUR, FENCE_COLOURS, colourOf } from '../map/fences';
import { reshape } from '../map/reshape';
import { mayEdit } from '../roles';
import { texts } from '../texts';
import { download, field, h, icon, options, setText } from '../ui/dom';
import type { GeofenceFeature } from '../wire/types';
import { groupOf } from './fence_groups';
import { fenceList } from './fence_list';
import { inUnit, rulesFields } from './fence_rules';

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
  const byCorners = h('span', { class: 'button-row' },
    h('button', { type: 'button', class: 'button small', onclick: () => drawing?.undo() }, texts.fences.undo),
    h('button', { type: 'button', class: 'button small primary', onclick: () => drawing?.finish() }, texts.fences.finish));
  const guide = h('div', { class: 'field-row', hidden: true }, hint, byCorners,
    h('button', { type: 'button', class: 'button small', onclick: () => drawing?.cancel() }, texts.cancel));
  const editor = h('div', { class: 'fence-editor' });
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
  const importing = h('button', { type: 'button', class: 'button small', onclick: () => file.click() }, texts.fences.import);
  const more = h('div', { class: 'button-row panel-foot' }, importing,
    h('button', { type: 'button', class: 'button small', onclick: exportAll }, texts.fences.export), file);
  store.on(['session'], (state) => {
    tools.hidden = importing.hidden = !mayEdit(state);
  });

  function start(kind: DrawKind, then: (shape: Drawn) => void = openEditor): void {
    drawing?.cancel();
    if (then === openEditor) closeEditor();
    setText(hint, `${texts.fences.drawHints[kind]} ${texts.fences.drawKeys[kind]}`);
    guide.hidden = false;
    byCorners.hidden = kind === 'circle';
    hint.classList.remove('error');
    drawing = draw(map, kind, (shape) => {
      drawing = null;
      guide.hidden = true;
      // The click that ends the drawing must not select what lies under it.
      setTimeout(() => store.set({ drawing: null }), 0);
      if (shape) then(shape);
      // Who has given it up by keys goes on where it began.
      else if (document.activeElement === map.getContainer()) tools.querySelector<HTMLElement>(`[data-draw=${kind}]`)?.focus();
    }, () => {
      setText(hint, texts.fences.tooLittle[kind]);
      hint.classList.add('error');
    });
    store.set({ drawing: kind });
    // Arrow keys move the map below the cross.
    map.getContainer().focus({ preventScroll: true });
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
        id: existing?.properties.id ?? '', name: name.value.trim(), fleet: fleet.value || null, group: group.value.trim(), colour, version: existing?.properties.version ?? 0,
        ...(shape.radius_m === undefined ? {} : { radius_m: shape.radius_m }),
        ...(shape.type === 'LineString' ? { width_m: asWidth.read(width.value) ?? 0 } : {}),
      }),
    });
    const rules = rulesFields(existing?.properties ?? {});
    const asWidth = inUnit(shape.width_m, shortLength());
    const width = h('input', { type: 'number', min: '1', step: 'any', value: asWidth.shown, oninput: () => preview() });
    const name = h('input', { value: existing?.properties.name ?? '', maxLength: 100, required: true });
    const fleet = h('select', {});
    const group = h('input', { value: existing?.properties.group ?? '', maxLength: 100 });
    const known = new Set([...store.now.fences.values()].map(groupOf).filter((g) => g !== ''));
    const groups = h('datalist', { id: 'fence-groups' }, ...[...known].sort().map((value) => h('option', { value })));
    group.setAttribute('list', groups.id);
    options(fleet, [['', texts.fences.everyFleet], ...store.now.fleets.map((f) => [f.id, f.name] as const)], existing?.properties.fleet ?? '');
    const preview = (): void => store.set({ preview: feature() });
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
    let saving = false;
    const overtaken = h('p', { class: 'error', role: 'status' });
    const stopWatching = store.on(['fences'], ({ fences }) => {
      // What comes while it is saved is our own change.
      if (!existing || saving) return;
      const now = fences.get(existing.properties.id);
      setText(overtaken, now === undefined ? texts.fences.removedMeanwhile : now.properties.version === existing.properties.version ? '' : texts.fences.changedMeanwhile);
    });
    closeEditor = () => {
      closeEditor = () => undefined;
      // A hole that is being drawn has nothing to be cut from any more.
      drawing?.cancel();
      reshaping.stop();
      stopWatching();
      store.set({ preview: null });
      editor.replaceChildren();
    };
    const form = h('form', {
      class: 'form', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        if (name.value.trim() === '') {
          setText(error, texts.fences.needsName);
          return;
        }
        submit.disabled = saving = true;
        const saved = existing ? api.changeFence(feature()) : api.createFence(feature());
        saved.then((fence) => {
          put(fence);
          closeEditor();
        }).catch((e: unknown) => {
          submit.disabled = saving = false;
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
      field(texts.fences.fleet, fleet), field(texts.fences.group, group), groups,
      ...(shape.type === 'LineString' ? [field(texts.fences.measured(texts.fences.width, shortLength().name), width)] : []), rules.element, overtaken, error,
      h('div', { class: 'button-row' }, submit,
        h('button', { type: 'button', class: 'button', onclick: () => closeEditor() }, texts.cancel),
        existing !== null && h('button', { type: 'button', class: 'button danger', onclick: () => {
          if (!confirm(texts.fences.confirmDelete(existing.properties.name))) return;
          api.deleteFence(existing.properties.id).then(() => {
            drop(existing.properties.id);
            closeEditor();
          }).catch((e: unknown) => setText(error, messageOf(e)));
        } }, texts.delete)));
    editor.replaceChildren(form);
    name.focus();
  }

  /** An answer may come after what somebody else has changed since. */
  const put = (...told: GeofenceFeature[]): void => {
    const { fences } = store.now;
    const newer = told.filter(({ properties: { id, version } }) => (fences.get(id)?.properties.version ?? -1) < version);
    if (newer.length > 0) store.set({ fences: new Map([...fences, ...newer.map((fence) => [fence.properties.id, fence] as const)]) });
  };
  const drop = (id: string): void => {
    const fences = new Map(store.now.fences);
    if (fences.delete(id)) store.set({ fences });
  };

  async function importFile(chosen: File): Promise<void> {
    const { features } = await api.importFences(await chosen.text());
    put(...features);
    app.toast(texts.fences.imported(features.length));
  }

  function exportAll(): void {
    const collection = { type: 'FeatureCollection', features: [...store.now.fences.values()] };
    download(new Blob([JSON.stringify(collection)], { type: 'application/geo+json' }), 'geofences.geojson');
  }

  const list = fenceList(app, openEditor);

  return {
    element: h('div', { class: 'panel-body list-panel' }, tools, editor, ...list.elements, more),
    reveal: list.reveal,
    key: (key) => {
      if (!drawing) return false;
      if (key === 'Escape') drawing.cancel();
      else if (key === 'Backspace') drawing.undo();
      else if (key.startsWith('Arrow') && document.activeElement === map.getContainer()) drawing.aim();
      // A focused button is pressed.
      else if (key === 'Enter' && !(document.activeElement instanceof HTMLButtonElement)) drawing.enter();
      else return false;
      return true;
    },
  };
}
