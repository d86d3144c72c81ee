/** One place that is looked at just now. */

import * as L from 'leaflet';

export class Dot {
  private marker: L.Marker | null = null;

  constructor(private map: L.Map) {}

  show(lat: number, lon: number): void {
    if (this.marker) {
      this.marker.setLatLng([lat, lon]);
      return;
    }
    const icon = L.divIcon({ className: 'place-dot', iconSize: [14, 14] });
    this.marker = L.marker([lat, lon], { icon, pane: 'trail', interactive: false, keyboard: false }).addTo(this.map);
  }

  clear(): void {
    this.marker?.remove();
    this.marker = null;
  }
}
