/** An answer's rows as dots on the map, coloured by a number. */

import * as L from 'leaflet';
import { cell, placesOf, weightOf } from '../sql/answer';
import { h } from '../ui/dom';
import type { SqlAnswer } from '../wire/types';
import { ramp } from './ramp';

/** More dots than this are a blot, and slow. */
const DOTS_AT_MOST = 20_000;

export interface ShownRows { shown: number; left: number; remove: () => void }

/** Null if no row is a place. */
export function showRows(map: L.Map, answer: SqlAnswer): ShownRows | null {
  const places = placesOf(answer);
  if (!places) return null;
  const { columns } = answer;
  const rows = answer.rows.filter((row) => isPlace(row[places.lat], row[places.lon]));
  if (rows.length === 0) return null;
  const weight = weightOf(columns, places);
  const weights = weight === null ? [] : rows.map((row) => Number(row[weight]));
  const least = weights.reduce((a, b) => Math.min(a, b), Infinity), most = weights.reduce((a, b) => Math.max(a, b), -Infinity);
  const renderer = L.canvas({ pane: 'results', padding: 0.3 });
  const group = L.featureGroup(rows.slice(0, DOTS_AT_MOST).map((row, i) => {
    const share = most > least ? (weights[i] - least) / (most - least) : 0.5;
    return L.circleMarker([Number(row[places.lat]), Number(row[places.lon])], {
      renderer, pane: 'results', radius: 5, weight: 1, color: '#fff', fillColor: ramp(share), fillOpacity: 0.9, bubblingMouseEvents: false,
    }).bindPopup(() => h('dl', { class: 'facts' }, ...columns.flatMap((c, j) => [h('dt', {}, c.name), h('dd', {}, cell(row[j]))])));
  })).addTo(map);
  map.fitBounds(group.getBounds(), { padding: [40, 40], maxZoom: 15 });
  return {
    shown: Math.min(rows.length, DOTS_AT_MOST), left: answer.rows.length - Math.min(rows.length, DOTS_AT_MOST), remove: () => {
      group.remove();
      renderer.remove();
    },
  };
}

const isPlace = (lat: unknown, lon: unknown): boolean =>
  typeof lat === 'number' && typeof lon === 'number' && Math.abs(lat) <= 90 && Math.abs(lon) <= 180;
