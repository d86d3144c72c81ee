/** Draws one frame of vehicles into a pixel buffer. */

import { Cells, radiusShare } from './cells';
import type { CountedCells } from './counted';
import { Look, Projection, type Fleet, type Viewport } from './fleet';
import { Occupancy, StampCache } from './labels';
import { SPEED_UNKNOWN } from './ft1';
import { LOOK_RGB, OUTLINE_RGB, REPLAY_RGB, SPEED_RGB, pixel, speedColour } from './palette';
import { PickGrid } from './pick';
import type { DrawOptions, View } from './protocol';
import { REPLAY_COLOUR, SPEED_COLOURS, SpriteSet, putSprite, putStamp } from './sprites';
import type { Trails } from './trails';

/** A fleet to draw, with the clock it lives by. */
export interface Scene {
  fleet: Fleet;
  clock: number;
  nameOf: (slot: number) => string;
  /** Slot of the selected vehicle, -1 if none. */
  selected: number;
  /** The past: one colour and trails. */
  trails: Trails | null;
  /** Cells that the server counts in the vehicles' place; null if it tells of each. */
  cells: CountedCells | null;
  /** How far back trails go, ms of the scene's clock; 0: there are none. */
  trailSpan: number;
}

/** Picked tags: scene index in the top bits, slot below. */
const SCENE_SHIFT = 24;
const SLOT_MASK = (1 << SCENE_SHIFT) - 1;
/** A counted cell's tag. */
const CELL_TAG = 1 << 30;

const LABEL_ZOOM = 13;
/** From so many vehicles per occupied square on, arrows are small. */
const CROWDED = 1.25;
const SMALL_PX = 6.5;
/** From so many vehicles a CSS pixel on, each is a dot. */
const DOTS_PER_PX = 0.009;
const LABELS_AT_MOST = 250;
/** From the selected vehicle to its name. */
const NAME_PX = 20;
const CELL_EDGE_PX = 66;
const TRAILS_AT_MOST = 2000;
const OFFLINE_MS = 600_000;

/** A vehicle, or null for a counted cell. */
export type Picked = { scene: number; slot: number } | null;

export class Painter {
  private projection = new Projection();
  private cells = new Cells();
  private pick = new PickGrid();
  private stamps = new StampCache();
  private occupancy = new Occupancy();
  private sprites: SpriteSet | null = null;
  private sizeStep = 0;
  /** Whose label was drawn last, by scene: they keep it, so that labels don't flicker. */
  private labelled: Set<number>[] = [];

  /** Returns how many vehicles are inside the view. */
  paint(buffer: Uint32Array, view: View, scenes: readonly Scene[], options: DrawOptions, wall: number): number {
    buffer.fill(0);
    // Each vehicle or cell once, and who is selected again.
    const total = scenes.reduce((sum, s) => sum + (s.cells ? s.cells.size : s.fleet.n) + 1, 0);
    this.pick.reset(view.w, view.h, total + 1);
    // The names of all scenes stand on one ground.
    this.occupancy.reset(view.w, view.h);
    if (options.labels) for (const scene of scenes) this.reserveSelected(view, scene, options, wall);
    let inView = 0;
    scenes.forEach((scene, index) => {
      inView += this.paintScene(buffer, view, scene, index, options, wall);
    });
    return inView;
  }

  /** What was drawn within `radius` of a place in the last frame. */
  near(x: number, y: number, radius: number): Picked[] {
    return this.pick.near(x, y, radius).map((tag) =>
      tag === CELL_TAG ? null : { scene: tag >> SCENE_SHIFT, slot: tag & SLOT_MASK });
  }

  private paintScene(buffer: Uint32Array, view: View, scene: Scene, index: number, options: DrawOptions, wall: number): number {
    const { fleet, clock, selected } = scene;
    const viewport: Viewport & { zoom: number; dpr: number } = { ...view, margin: Math.ceil(14 * view.dpr) };
    if (scene.cells) {
      const counted = this.paintCounted(buffer, viewport, scene.cells, options);
      fleet.watchOnly(selected, clock, view.scale);
      if (selected >= 0) this.paintSelected(buffer, view, scene, index, options, wall);
      return counted;
    }
    const p = this.projection;
    const n = fleet.project(viewport, clock, wall, p);
    const replayed = scene.trails !== null;
    const crowding = this.cells.crowding(p, n, viewport);
    const sprites = this.spritesFor(n, crowding, view, options);
    const grouped = !replayed && (options.grouping === 'always' ? view.zoom < 15
      : options.grouping === 'auto' && this.cells.isDense(n, crowding, view.zoom));
    if (scene.trails && scene.trailSpan > 0 && n <= TRAILS_AT_MOST) {
      const stride = scene.trails.stride(n);
      for (let k = 0; k < n; k++) {
        scene.trails.draw(buffer, viewport, p.slot[k], p.px[k], p.py[k], clock, scene.trailSpan,
          options.colouring === 'speed', stride);
      }
    }
    // Under the vehicles: a name must not hide one.
    if (options.labels && !grouped && sprites && view.zoom >= LABEL_ZOOM) this.paintLabels(buffer, view, scene, index, n, options);
    if (grouped) this.paintCells(buffer, view, viewport, fleet, n, sprites, index, options);
    else if (sprites) this.paintSprites(buffer, view, scene, n, sprites, index, options);
    else this.paintDots(buffer, view, fleet, n, replayed, index, options);
    if (selected >= 0) this.paintSelected(buffer, view, scene, index, options, wall);
    return n;
  }

  /** Null: so many that each is a dot. The steps have hysteresis, so that sizes don't flicker. */
  private spritesFor(n: number, crowding: number, view: View, options: DrawOptions): SpriteSet | null {
    const loosen = (step: number): number => (this.sizeStep > step ? 0.9 : 1.1);
    let step = view.zoom < 11 || crowding > CROWDED * loosen(0) ? 1 : 0;
    if (n / ((view.w * view.h) / view.dpr ** 2) > DOTS_PER_PX * loosen(1) && view.zoom < LABEL_ZOOM + 1) step = 2;
    this.sizeStep = step;
    if (step === 2) return null;
    const size = step === 1 ? SMALL_PX : view.zoom >= 15 ? 11 : view.zoom >= LABEL_ZOOM ? 9 : 8;
    return this.spriteSet(size * view.dpr, view.w, options);
  }

  private spriteSet(size: number, stride: number, options: DrawOptions): SpriteSet {
    const s = this.sprites;
    if (s && s.size === size && s.stride === stride && s.theme === options.theme) return s;
    return (this.sprites = new SpriteSet(size, stride, options.theme));
  }

  private paintDots(buffer: Uint32Array, view: View, fleet: Fleet, n: number, replayed: boolean, index: number,
    options: DrawOptions): void {
    const w = view.w;
    const colours = LOOK_RGB.map(([r, g, b]) => pixel(r, g, b));
    const speeds = SPEED_RGB.map(([r, g, b]) => pixel(r, g, b));
    const replay = pixel(...REPLAY_RGB);
    const bySpeed = options.colouring === 'speed';
    const { slot, px, py } = this.projection;
    const big = view.dpr > 1.4;
    for (let k = 0; k < n; k++) {
      const at = py[k] * w + px[k];
      const i = slot[k];
      const c = bySpeed && fleet.speed[i] !== SPEED_UNKNOWN ? speeds[speedColour(fleet.speed[i])] : replayed ? replay : colours[fleet.look[i]];
      buffer[at] = c; buffer[at + 1] = c; buffer[at - 1] = c; buffer[at + w] = c; buffer[at - w] = c;
      buffer[at + w + 1] = c; buffer[at + w - 1] = c; buffer[at - w + 1] = c; buffer[at - w - 1] = c;
      if (big) {
        buffer[at + 2] = c; buffer[at + 2 + w] = c; buffer[at + 2 - w] = c;
        buffer[at + 2 * w] = c; buffer[at + 2 * w + 1] = c; buffer[at + 2 * w - 1] = c; buffer[at + 2 * w + 2] = c;
      }
      this.pick.add(px[k], py[k], (index << SCENE_SHIFT) | slot[k]);
    }
  }

  private paintSprites(buffer: Uint32Array, view: View, scene: Scene, n: number, sprites: SpriteSet, index: number, options: DrawOptions): void {
    const { slot, px, py } = this.projection;
    const { fleet, clock } = scene;
    const replayed = scene.trails !== null;
    for (let k = 0; k < n; k++) {
      const i = slot[k];
      // A replay tells no link state: who has not reported for long was offline.
      const look = replayed && clock - fleet.fix[i] > OFFLINE_MS ? Look.Offline : fleet.look[i];
      // What can't be told by speed keeps the colour of its status.
      const bySpeed = options.colouring === 'speed' && fleet.speed[i] !== SPEED_UNKNOWN && look !== Look.Alarm && look !== Look.Offline;
      const colour = bySpeed ? SPEED_COLOURS + speedColour(fleet.speed[i]) : replayed ? REPLAY_COLOUR : look;
      putSprite(buffer, py[k] * view.w + px[k], sprites.of(look, fleet.course[i], colour));
      this.pick.add(px[k], py[k], (index << SCENE_SHIFT) | i);
    }
  }

  private paintCells(buffer: Uint32Array, view: View, viewport: Viewport, fleet: Fleet, n: number, sprites: SpriteSet | null,
    index: number, options: DrawOptions): void {
    const cells = this.cells.gather(this.projection, n, fleet.look, viewport, CELL_EDGE_PX * view.dpr);
    const arrows = sprites ?? this.spriteSet(SMALL_PX * view.dpr, view.w, options);
    // Small ones first: a big count is never covered.
    for (const cell of cells.sort((a, b) => a.count - b.count)) {
      if (cell.count === 1) {
        const look = fleet.look[cell.only];
        putSprite(buffer, cell.y * view.w + cell.x, arrows.of(look, fleet.course[cell.only], look));
        this.pick.add(cell.x, cell.y, (index << SCENE_SHIFT) | cell.only);
      } else {
        const stamp = this.stamps.count(cell, options.theme, view.dpr);
        putStamp(buffer, view.w, view.h, stamp, cell.x - (stamp.w >> 1), cell.y - (stamp.h >> 1));
        this.pick.add(cell.x, cell.y, CELL_TAG);
      }
    }
  }

  /** Cells of the server. Returns how many vehicles are in those inside the view. */
  private paintCounted(buffer: Uint32Array, view: Viewport & { dpr: number }, counted: CountedCells, options: DrawOptions): number {
    // Cells of another zoom are shown until those of this one come.
    const edge = counted.edge * view.scale;
    const arrows = this.spriteSet(SMALL_PX * view.dpr, view.w, options);
    let vehicles = 0;
    for (const cell of [...counted.passing()].sort((a, b) => a.count - b.count)) {
      const { count, usual, worst, alone } = cell;
      const radius = alone ? 0 : Math.max(6 * view.dpr, Math.min(edge, CELL_EDGE_PX * view.dpr) * radiusShare(count));
      const within = (v: number, from: number): number => Math.round(Math.max(from + radius, Math.min(from + edge - radius, v)));
      // The world repeats: the copy that the view shows, or one of which the east end reaches into it.
      const turns = Math.floor(cell.left + counted.edge - view.x0);
      const px = (x: number): number => (x - view.x0 - turns) * view.scale;
      const x = within(px(cell.x), px(cell.left)), y = within((cell.y - view.y0) * view.scale, (cell.top - view.y0) * view.scale);
      const m = alone ? view.margin : -radius;
      if (x < m || y < m || x >= view.w - m || y >= view.h - m) continue;
      vehicles += count;
      const bySpeed = options.colouring === 'speed' && cell.speedKmh !== null ? speedColour(cell.speedKmh * 10) : null;
      if (alone) {
        putSprite(buffer, y * view.w + x, arrows.of(usual, cell.course, bySpeed === null ? usual : SPEED_COLOURS + bySpeed));
      } else {
        const stamp = this.stamps.count({ x, y, radius, count, usual, worst }, options.theme, view.dpr, bySpeed === null ? undefined : SPEED_RGB[bySpeed]);
        putStamp(buffer, view.w, view.h, stamp, x - (stamp.w >> 1), y - (stamp.h >> 1));
      }
      if (x >= 0 && y >= 0 && x < view.w && y < view.h) this.pick.add(x, y, CELL_TAG);
    }
    return vehicles;
  }

  private paintLabels(buffer: Uint32Array, view: View, scene: Scene, index: number, n: number, options: DrawOptions): void {
    const { slot, px, py } = this.projection;
    const before = this.labelled[index] ?? new Set();
    const now = new Set<number>();
    const place = (k: number): void => {
      const name = slot[k] === scene.selected ? '' : scene.nameOf(slot[k]);
      if (name === '') return;
      const stamp = this.stamps.label(name, options.theme, view.dpr, false);
      const x = px[k] + Math.round(12 * view.dpr), y = py[k] - (stamp.h >> 1);
      if (!this.occupancy.take(x, y, stamp.w, stamp.h)) return;
      putStamp(buffer, view.w, view.h, stamp, x, y);
      now.add(slot[k]);
    };
    for (let k = 0; k < n; k++) if (before.has(slot[k])) place(k);
    for (let k = 0; k < n && now.size < LABELS_AT_MOST; k++) if (!before.has(slot[k])) place(k);
    this.labelled[index] = now;
  }

  /** Keeps other labels away from the selected vehicle and its name, which is drawn last. */
  private reserveSelected(view: View, scene: Scene, options: DrawOptions, wall: number): void {
    const at = placeOfSelected(view, scene, wall);
    if (!at) return;
    const r = Math.round(16 * view.dpr);
    const name = scene.nameOf(scene.selected);
    const right = name === '' ? r : Math.round(NAME_PX * view.dpr) + this.stamps.label(name, options.theme, view.dpr, true).w;
    this.occupancy.block(at.x - r, at.y - r, r + right, 2 * r);
  }

  /** The selected vehicle lies on top of everything, whatever the filter or the grouping. */
  private paintSelected(buffer: Uint32Array, view: View, scene: Scene, index: number, options: DrawOptions, wall: number): void {
    const at = placeOfSelected(view, scene, wall);
    if (!at) return;
    const { fleet, selected } = scene;
    const { x, y } = at;
    const look = fleet.look[selected];
    const colour = scene.trails ? REPLAY_COLOUR : look;
    halo(buffer, view.w, x, y, 15 * view.dpr, 2.2 * view.dpr, pixel(...(scene.trails ? REPLAY_RGB : LOOK_RGB[Look.Moving])), pixel(...OUTLINE_RGB[options.theme], 150));
    putSprite(buffer, y * view.w + x, this.selectedSprite(view, options, look, fleet.course[selected], colour));
    const name = scene.nameOf(selected);
    if (name !== '') {
      const stamp = this.stamps.label(name, options.theme, view.dpr, true);
      putStamp(buffer, view.w, view.h, stamp, x + Math.round(NAME_PX * view.dpr), y - (stamp.h >> 1));
    }
    this.pick.add(x, y, (index << SCENE_SHIFT) | selected);
  }

  private selectedSet: SpriteSet | null = null;
  private selectedSprite(view: View, options: DrawOptions, look: number, course: number, colour: number): ReturnType<SpriteSet['of']> {
    const size = 10 * view.dpr;
    let s = this.selectedSet;
    if (!s || s.size !== size || s.stride !== view.w || s.theme !== options.theme) {
      s = this.selectedSet = new SpriteSet(size, view.w, options.theme);
    }
    return s.of(look, course, colour);
  }
}

/** Where the selected vehicle is drawn; null if there is none, or too near to the edge. */
function placeOfSelected(view: View, { fleet, selected, clock }: Scene, wall: number): { x: number; y: number } | null {
  if (selected < 0 || selected >= fleet.n || !fleet.present[selected]) return null;
  const X = fleet.reckonX(selected, clock, wall) - view.x0;
  const x = Math.floor((X - Math.floor(X)) * view.scale);
  const y = Math.floor((fleet.reckonY(selected, clock, wall) - view.y0) * view.scale);
  const m = Math.ceil(24 * view.dpr);
  return x < m || y < m || x >= view.w - m || y >= view.h - m ? null : { x, y };
}

/** A disc with a coloured edge under the selected vehicle. */
function halo(buffer: Uint32Array, w: number, x: number, y: number, r: number, edge: number, colour: number, fill: number): void {
  const span = Math.ceil(r + edge);
  for (let dy = -span; dy <= span; dy++) {
    for (let dx = -span; dx <= span; dx++) {
      const d = Math.hypot(dx, dy);
      if (d > r + 0.5) continue;
      const alpha = d > r - 0.5 ? r + 0.5 - d : 1;
      if (d >= r - edge) buffer[(y + dy) * w + x + dx] = ((colour & 0xffffff) | (Math.round(255 * alpha) << 24)) >>> 0;
      else buffer[(y + dy) * w + x + dx] = fill;
    }
  }
}
