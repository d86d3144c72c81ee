/** Measuring on the map: the length of a line, and the area when it is closed. By mouse, finger, or keys at the map's centre. */

import * as L from 'leaflet';
import type { App } from '../app';
import { areaText, lengthText } from '../format';
import { texts } from '../texts';
import { h, iconButton, setText } from '../ui/dom';
import { mapCross } from './cross';
import { areaM2, lengthM } from './geometry';
import { CLOSE_PX, LINE, SAME_PX, isNear } from './draw';

export interface Measure {
  button: HTMLButtonElement;
  readout: HTMLElement;
  toggle: () => void;
  /** Keys while measuring. True if taken. */
  key: (key: string) => boolean;
}

export function measureTool(app: App, map: L.Map): Measure {
  const { store } = app;
  const points: L.LatLng[] = [];
  let closed = false;
  /** Further clicks begin anew. */
  let ended = false;
  let pointer: L.LatLng | null = null;
  const group = L.layerGroup();
  const figures = h('strong', {});
  const hint = h('span', { class: 'muted' }, texts.measure.hint);
  const readout = h('div', { class: 'measure', role: 'status', hidden: true }, figures, hint);
  L.DomEvent.disableClickPropagation(readout);
  const cross = mapCross(map);
  const button = iconButton('measure', texts.measure.title, toggle, 'map-button');

  function redraw(): void {
    group.clearLayers();
    const open = ended || closed || !pointer ? points : [...points, pointer];
    (closed ? L.polygon(points, LINE) : L.polyline(open, LINE)).addTo(group);
    for (const p of points) L.circleMarker(p, { ...LINE, dashArray: '', radius: 4, fillOpacity: 1, fillColor: '#fff' }).addTo(group);
    const line = closed ? [...points, points[0]] : open;
    setText(figures, points.length === 0 ? '' : closed ? texts.measure.area(lengthText(lengthM(line)), areaText(areaM2(points))) : lengthText(lengthM(line)));
  }

  function add(at: L.LatLng): void {
    if (ended || closed) {
      points.length = 0;
      ended = closed = false;
    }
    if (points.length > 2 && isNear(map, at, points[0], CLOSE_PX)) closed = true;
    else if (!isNear(map, at, points[points.length - 1], SAME_PX)) points.push(at);
    redraw();
  }

  const onClick = ({ latlng }: L.LeafletMouseEvent): void => add(latlng);
  const onMove = ({ latlng }: L.LeafletMouseEvent): void => {
    pointer = latlng;
    if (points.length > 0 && !ended && !closed) redraw();
  };
  const onDouble = (): void => {
    ended = true;
    redraw();
  };

  function toggle(): void {
    const on = !store.now.measuring;
    store.set({ measuring: on });
    button.setAttribute('aria-pressed', String(on));
    readout.hidden = !on;
    cross.show(false);
    map.getContainer().classList.toggle('drawing', on);
    points.length = 0;
    ended = closed = false;
    pointer = null;
    if (on) {
      map.doubleClickZoom.disable();
      map.on('click', onClick).on('mousemove', onMove).on('dblclick', onDouble);
      group.addTo(map);
      // Arrow keys move the map below the cross.
      map.getContainer().focus({ preventScroll: true });
    } else {
      map.doubleClickZoom.enable();
      map.off('click', onClick).off('mousemove', onMove).off('dblclick', onDouble);
      group.remove();
    }
    redraw();
  }
  button.setAttribute('aria-pressed', 'false');

  return {
    button, readout, toggle,
    key: (key) => {
      if (!store.now.measuring) return false;
      if (key === 'Escape') toggle();
      else if (key === 'Enter') {
        // A focused button is pressed.
        if (document.activeElement instanceof HTMLButtonElement) return false;
        cross.show(true);
        pointer = null;
        add(map.getCenter());
      } else if (key === 'Backspace') {
        ended = closed = false;
        points.pop();
        redraw();
      } else if (key.toLowerCase() === 'c' && points.length > 2) {
        closed = true;
        redraw();
      } else {
        // The cross tells where Enter puts a point.
        if (key.startsWith('Arrow')) cross.show(true);
        return false;
      }
      return true;
    },
  };
}
