/** The cross in the middle of the map, where keys put a point: the arrow keys move the map below it. */

import type * as L from 'leaflet';
import { h } from '../ui/dom';

export interface Cross {
  readonly shown: boolean;
  show: (on: boolean) => void;
  remove: () => void;
}

export function mapCross(map: L.Map): Cross {
  const element = h('div', { class: 'map-cross', hidden: true, aria: { hidden: 'true' } });
  map.getContainer().append(element);
  return {
    get shown() { return !element.hidden; },
    show: (on) => {
      element.hidden = !on;
    },
    remove: () => element.remove(),
  };
}
