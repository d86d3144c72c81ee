/** Who is in which slot: device ids, names and fleets, as the gateway told them. */

import type { SlotRow } from './protocol';

export class Roster {
  private devices: string[] = [];
  private names: string[] = [];
  /** For search: name and device id in lower case. */
  private texts: string[] = [];
  private fleets: string[] = [];
  private slots = new Map<string, number>();
  /** Slots in order of name; null after a change. */
  private ranked: number[] | null = null;

  clear(): void {
    this.devices = [];
    this.names = [];
    this.texts = [];
    this.fleets = [];
    this.slots.clear();
    this.ranked = null;
  }

  add(rows: readonly SlotRow[]): void {
    for (const [slot, device, name, fleet] of rows) {
      this.devices[slot] = device;
      this.slots.set(device, slot);
      this.put(slot, name, fleet);
    }
    this.ranked = null;
  }

  remove(slot: number): void {
    const device = this.devices[slot];
    if (device === undefined) return;
    if (this.slots.get(device) === slot) this.slots.delete(device);
    for (const column of [this.devices, this.names, this.texts, this.fleets]) delete column[slot];
    this.ranked = null;
  }

  rename(device: string, name: string, fleet: string): void {
    const slot = this.slots.get(device);
    if (slot === undefined) return;
    this.put(slot, name, fleet);
    this.ranked = null;
  }

  private put(slot: number, name: string, fleet: string): void {
    this.names[slot] = name;
    this.fleets[slot] = fleet;
    this.texts[slot] = `${name}\n${this.devices[slot]}`.toLowerCase();
  }

  device(slot: number): string {
    return this.devices[slot] ?? '';
  }
  /** For people; the device id where there is no name. */
  name(slot: number): string {
    return this.names[slot] || (this.devices[slot] ?? '');
  }
  fleet(slot: number): string {
    return this.fleets[slot] ?? '';
  }
  text(slot: number): string {
    return this.texts[slot] ?? '';
  }
  slot(device: string): number {
    return this.slots.get(device) ?? -1;
  }

  /** All slots by name, numbers in names by value (`Bus 7` before `Bus 12`). */
  byName(): readonly number[] {
    if (this.ranked) return this.ranked;
    const keys: string[] = [];
    for (const slot of this.slots.values()) {
      keys[slot] = this.name(slot).toLowerCase().replace(/\d+/g, (digits) => digits.padStart(10, '0'));
    }
    return (this.ranked = [...this.slots.values()].sort((a, b) =>
      keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
  }
}
