/** The map: panes, coastlines, tiles, vehicles, clicks. */

import * as L from 'leaflet';
import type { App } from '../app';
import { speedIn, speedText } from '../format';
import { preferredUnits } from '../prefs';
import { h, icon, iconButton, isNarrow, isStill, setText } from '../ui/dom';
import { texts } from '../texts';
import { SPEED_LIMITS_KMH, SPEED_RGB } from '../worker/palette';
import { latOf, lonOf } from '../worker/mercator';
import { notOfCells, type LayerName, type VehicleRow } from '../worker/protocol';
import { EarthLayer } from './earth';
import { heatBox, type HeatBox } from '../panels/heat';
import { parseAddress, type AskedHeat } from '../address';
import { keepAddress } from '../follow_address';
import { measureTool, type Measure } from './measure';
import { addArchive } from './archive';
import { grabWhileDragged } from './grab';
import { MAX_ZOOM, addTiles, type TileStage } from './tiles';
import { VehicleLayer, bufferPoint, pixelRatio } from './vehicles';

/** How far from a vehicle a click may be, CSS px; fingers are wider. */
const CLICK_RADIUS = 12;
const TOUCH_RADIUS = 22;
/** How long the note about missing tiles stays: read once, it is only in the way. */
const NOTE_MS = 12_000;

export interface MapView {
  map: L.Map;
  layer: VehicleLayer;
  flyTo: (lat: number, lon: number, zoom?: number) => void;
  tools: { measure: () => void; heat: () => void; /** Null: none. */ showHeat: (asked: AskedHeat | null) => void; /** Keys while measuring. True if taken. */ key: (key: string) => boolean };
}

export function createMap(app: App, container: HTMLElement): MapView {
  const map = L.map(container, {
    zoomControl: false, worldCopyJump: true, minZoom: 2, maxZoom: MAX_ZOOM, zoomSnap: 1, attributionControl: true, preferCanvas: true,
    doubleClickZoom: true, keyboardPanDelta: 120,
    // Tiles that fade in are composed anew with every frame of a drag.
    fadeAnimation: false,
  });
  for (const [pane, z] of [['earth', '150'], ['heat', '410'], ['fences', '420'], ['trail', '440'], ['results', '445'], ['vehicles', '450'], ['draw', '460']] as const) {
    map.createPane(pane).style.zIndex = z;
  }
  // Their canvases cover those below; handles and dots that can be clicked say so themselves.
  for (const pane of ['vehicles', 'earth', 'heat', 'fences', 'trail', 'draw']) (map.getPane(pane) as HTMLElement).style.pointerEvents = 'none';
  map.attributionControl.setPrefix(`<a href="https://leafletjs.com">Leaflet</a> · <a href="https://www.naturalearthdata.com">${texts.map.naturalEarth}</a>`);
  const stored = parseAddress(location.hash).view;
  map.setView(stored ? [stored.lat, stored.lon] : [30, 10], stored?.zoom ?? 3);
  const imperial = preferredUnits() === 'imperial';
  // With every move it would lay out the page anew.
  L.control.scale({ imperial, metric: !imperial, position: 'bottomleft', updateWhenIdle: true }).addTo(map);

  const earth = new EarthLayer(app.store.now.options.theme).addTo(map);
  app.store.on(['options'], ({ options }) => earth.setTheme(options.theme));
  const { tiles } = app.store.now.config;
  const stage: TileStage = {
    onTheme: (show) => void app.store.on(['options'], ({ options }) => show(options.theme)),
    failing: (tilesFailing) => app.store.set({ tilesFailing }),
  };
  if (tiles?.archive) addArchive(map, tiles, stage).catch(() => stage.failing(true));
  else if (tiles) addTiles(map, tiles, stage);

  const layer = new VehicleLayer(app.engine, (reply) => {
    const { follow } = app.store.now;
    if (!follow || !reply.selected) return;
    const at = L.latLng(latOf(reply.selected.y), lonOf(reply.selected.x));
    const { x, y } = map.latLngToContainerPoint(at).subtract(map.getSize().divideBy(2));
    // The end of a move is told to everybody, also where nothing has moved.
    if (Math.abs(x) >= 1 || Math.abs(y) >= 1) map.setView(at, map.getZoom(), { animate: false });
  }).addTo(map);
  grabWhileDragged(map);

  // Who looks elsewhere, by whatever means, would be led back at once.
  const letGo = (): void => app.store.set({ follow: false });
  map.on('dragstart', letGo);
  container.addEventListener('keydown', ({ key, target }) => {
    if (target === container && key.startsWith('Arrow')) letGo();
  });

  // All vehicles come into view when it is known where they are, unless somebody looks elsewhere before.
  let seeking = stored === null;
  let chosen = stored !== null;
  map.on('movestart', () => {
    seeking = false;
    chosen = true;
  });
  const fit = (): void => {
    letGo();
    seeking = true;
    app.engine.seekAll();
  };
  app.engine.on('extent', ([x0, y0, x1, y1]) => {
    if (!seeking) return;
    seeking = false;
    map.fitBounds([[latOf(y1), lonOf(x0)], [latOf(y0), lonOf(x1)]], { padding: [40, 40], maxZoom: 14 });
  });
  keepAddress(app, () => {
    // The view before the first vehicle is nobody's choice.
    if (!chosen) return null;
    const { lat, lng } = map.getCenter();
    return { zoom: map.getZoom(), lat, lon: lng };
  }, map);

  const flyTo = (lat: number, lon: number, zoom = Math.max(map.getZoom(), 15)): void => {
    letGo();
    // On a phone the details cover the lower half: the vehicle goes above them.
    const cover = isNarrow() ? map.getSize().y * 0.2 : 0;
    const centre = map.unproject(map.project([lat, lon], zoom).add([0, cover]), zoom);
    map.flyTo(centre, zoom, isStill() ? { animate: false } : { duration: 0.8 });
  };
  map.on('click', (event: L.LeafletMouseEvent) => {
    if (app.store.now.drawing || app.store.now.measuring) return;
    const touch = event.originalEvent instanceof PointerEvent && event.originalEvent.pointerType === 'touch';
    pickAt(app, map, event.containerPoint, touch ? TOUCH_RADIUS : CLICK_RADIUS, event.latlng).catch(app.report);
  });
  const measure = measureTool(app, map);
  const heat = heatBox(app, map);
  container.append(controls(app, map, fit, measure, heat));
  new ResizeObserver(() => map.invalidateSize({ animate: false })).observe(container);
  return { map, layer, flyTo, tools: { measure: measure.toggle, heat: heat.toggle, showHeat: heat.show, key: measure.key } };
}

async function pickAt(app: App, map: L.Map, at: L.Point, radius: number, latlng: L.LatLng): Promise<void> {
  const p = bufferPoint(at);
  const { hits, more, cell } = await app.engine.hit(p.x, p.y, radius * pixelRatio());
  if (hits.length === 1) {
    app.select(hits[0].layer, hits[0].row.device);
  } else if (hits.length > 1) {
    L.popup({ className: 'choose', closeButton: false, offset: [0, -4], maxHeight: 260 })
      .setLatLng(latlng).setContent(chooser(app, map, hits, more)).openOn(map);
  } else if (cell) {
    map.setZoomAround(latlng, Math.min(MAX_ZOOM, map.getZoom() + 2));
  } else {
    app.clickGround(latlng);
  }
}

/** Vehicles on one spot can be told apart: a list to choose from. */
function chooser(app: App, map: L.Map, hits: { layer: LayerName; row: VehicleRow }[], more: number): HTMLElement {
  return h('div', { class: 'chooser' },
    h('div', { class: 'chooser-title' }, texts.map.choose(hits.length + more)),
    ...hits.map(({ layer, row }) => h('button', {
      type: 'button', class: 'chooser-row', onclick: () => {
        map.closePopup();
        app.select(layer, row.device);
      },
    }, h('span', { class: `look look-${row.look}` }), row.name)),
    more > 0 && h('div', { class: 'hint chooser-more' }, texts.map.chooseMore(more)));
}

function controls(app: App, map: L.Map, fit: () => void, measure: Measure, heat: HeatBox): HTMLElement {
  const labels = iconButton('label', texts.map.labels, () => {
    const { options } = app.store.now;
    app.store.set({ options: { ...options, labels: !options.labels } });
  }, 'map-button');
  const speed = iconButton('speed', texts.map.colouring, () => app.cycleColouring(), 'map-button');
  const legend = speedLegend();
  const group = iconButton('group', texts.map.grouping, () => app.cycleGrouping(), 'map-button');
  app.store.on(['options'], ({ options }) => {
    labels.setAttribute('aria-pressed', String(options.labels));
    speed.setAttribute('aria-pressed', String(options.colouring === 'speed'));
    legend.hidden = options.colouring !== 'speed';
    const mode = texts.map.groupingModes[options.grouping];
    group.title = mode;
    group.setAttribute('aria-label', mode);
    group.dataset['mode'] = options.grouping;
  });
  const zoom = (sign: string, label: string, act: () => void): HTMLElement =>
    h('button', { type: 'button', class: 'map-button', title: label, onclick: act, aria: { label } }, sign);
  const note = h('div', { class: 'map-note', role: 'status', hidden: true }, texts.map.tilesOff);
  let hiding = 0;
  app.store.on(['tilesFailing'], ({ tilesFailing }) => {
    note.hidden = !tilesFailing;
    clearTimeout(hiding);
    hiding = window.setTimeout(() => {
      note.hidden = true;
    }, NOTE_MS);
  });
  const unfiltered = h('div', { class: 'map-note', role: 'status', hidden: true });
  app.store.on(['stats', 'filter'], ({ stats, filter }) => {
    const said = notOfCells(filter).map((name) => texts.map.unfilteredBy[name]);
    unfiltered.hidden = said.length === 0 || (stats?.cells ?? 0) === 0;
    if (!unfiltered.hidden) setText(unfiltered, texts.map.unfiltered(said));
  });
  const fitButton = h('button', { type: 'button', class: 'map-button', title: texts.map.fit, onclick: fit, aria: { label: texts.map.fit } }, icon('fit'));
  const box = h('div', { class: 'map-controls' },
    zoom('+', texts.map.zoomIn, () => map.zoomIn()), zoom('−', texts.map.zoomOut, () => map.zoomOut()), fitButton, labels, group, speed, measure.button, heat.button);
  L.DomEvent.disableClickPropagation(box);
  const overlay = h('div', { class: 'map-overlay' }, box, h('div', { class: 'map-side' }, note, unfiltered, measure.readout, legend, heat.element));
  return overlay;
}

/** What the colours of speeds mean. */
function speedLegend(): HTMLElement {
  return h('div', { class: 'speed-legend', hidden: true, role: 'group', aria: { label: texts.map.speedLegend } }, ...SPEED_RGB.map((rgb, i) => {
    const swatch = h('span', { class: 'speed-swatch' });
    swatch.style.background = `rgb(${rgb.join(' ')})`;
    const limit = SPEED_LIMITS_KMH[i];
    return h('span', {}, swatch, limit === undefined ? `≥ ${speedText(SPEED_LIMITS_KMH[i - 1])}` : `< ${Math.round(speedIn(limit))}`);
  }));
}
