/** Reads FT1 frames: little-endian columns of positions or of counted cells, one frame a Socket.IO attachment. */

import type { Viewport } from '../wire/types';

export const KIND_SNAPSHOT = 0;
export const KIND_DELTA = 1;
export const KIND_REMOVED = 2;
export const KIND_CELLS = 3;

export const FLAG_ALTITUDE = 1;
export const FLAG_DT = 2;
export const FLAG_STATUS = 4;
export const FLAG_LAST = 8;
export const FLAG_REPLAY = 16;
/** Cells that the frame does not tell of are empty. */
export const FLAG_FULL = 32;
/** Of vehicles that are followed, in view or not. */
export const FLAG_FOLLOWED = 64;

/** Kinds of Look. */
export const LOOKS = 6;

/** Cells along the edge of a tile. */
export const CELLS_PER_TILE = 4;

/** Speed of a vehicle that does not tell it. */
export const SPEED_UNKNOWN = 0xffff;
export const CELL_SPEED_UNKNOWN = 255;

const MAGIC = 0x46;
const VERSION = 1;
const HEADER_BYTES = 32;
/** More records than this in one frame, or a slot beyond it, is a broken frame, not a fleet. */
const MAX_RECORDS = 1 << 21;
const MAX_SLOT = 1 << 22;
const MAX_VIEWPORT_ZOOM = 22;

export interface FrameHeader {
  kind: number;
  flags: number;
  epoch: number;
  seq: number;
  /** Time base of the frame, ms since the Unix epoch. */
  t0: number;
  n: number;
  /** What cells are told of; null in frames of vehicles. */
  viewport: Viewport | null;
}

/** Why a frame was refused. */
export class FrameFault extends Error {}

/** Decodes into columns that it keeps, so a frame costs no allocation. The columns hold the last frame decoded. */
export class Ft1Decoder {
  slot = new Uint32Array(0);
  /** 1e-6 degree. */
  lat = new Int32Array(0);
  /** 1e-6 degree. */
  lon = new Int32Array(0);
  /** 0.1 km/h, or SPEED_UNKNOWN. */
  speed = new Uint16Array(0);
  /** 360/256 degree clockwise from north. */
  course = new Uint8Array(0);
  /** Age of the fix at t0, in 10 ms: years need more than 32 bits. */
  dt = new Float64Array(0);
  status = new Uint8Array(0);
  /** Metres. */
  altitude = new Int32Array(0);
  /** Of cells, whose numbers are in the slot column: how many vehicles. */
  count = new Uint32Array(0);
  /** Of cells: which looks there are, by bit. */
  looks = new Uint8Array(0);
  /** Of cells: how many vehicles have each look, LOOKS numbers a cell. */
  lookCounts = new Uint32Array(0);
  /** Of cells: mean km/h, or CELL_SPEED_UNKNOWN. */
  cellSpeed = new Uint8Array(0);
  /** Of cells: mean place, sixteenths from the west in the low nibble, from the north in the high one. */
  place = new Uint8Array(0);

  private bytes: Uint8Array = new Uint8Array(0);
  private at = 0;

  /** Throws FrameFault for anything that is not a whole, sound frame; the columns are then meaningless. */
  decode(bytes: Uint8Array): FrameHeader {
    if (bytes.length < HEADER_BYTES) throw new FrameFault(`frame of ${bytes.length} bytes`);
    const head = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
    if (head.getUint8(0) !== MAGIC) throw new FrameFault('not an FT1 frame');
    const kindVersion = head.getUint8(1);
    if (kindVersion >> 4 !== VERSION) throw new FrameFault(`frame version ${kindVersion >> 4}`);
    const frame: FrameHeader = {
      kind: kindVersion & 15,
      flags: head.getUint16(2, true),
      epoch: head.getUint32(4, true),
      seq: head.getUint32(8, true),
      t0: head.getFloat64(12, true),
      n: head.getUint32(20, true),
      viewport: null,
    };
    if (!Number.isFinite(frame.t0)) throw new FrameFault('no time base');
    if (frame.kind > KIND_CELLS) throw new FrameFault(`frame kind ${frame.kind}`);
    // A record takes at least 1 byte (removed), 5 (cell) or 6 (position): a count beyond that is a lie, found before allocating.
    const least = frame.kind === KIND_REMOVED ? 1 : frame.kind === KIND_CELLS ? 5 : 6;
    if (frame.n > MAX_RECORDS || frame.n * least > bytes.length - HEADER_BYTES) {
      throw new FrameFault(`${frame.n} records in ${bytes.length} bytes`);
    }
    this.bytes = bytes;
    this.at = HEADER_BYTES;
    this.reserve(frame.n);
    if (frame.kind === KIND_CELLS) {
      frame.viewport = this.readCells(frame.n, head.getInt32(24, true), head.getInt32(28, true));
    } else {
      this.readSlots(frame.n, MAX_SLOT);
    }
    if (frame.kind < KIND_REMOVED) {
      this.readDeltas(this.lat, frame.n, head.getInt32(24, true));
      this.readDeltas(this.lon, frame.n, head.getInt32(28, true));
      this.readFixed(frame.n);
      if (frame.flags & FLAG_DT) this.readVarints(this.dt, frame.n);
      else this.dt.fill(0, 0, frame.n);
      if (frame.flags & FLAG_STATUS) this.readBytes(this.status, frame.n);
      else this.status.fill(0, 0, frame.n);
      if (frame.flags & FLAG_ALTITUDE) this.readDeltas(this.altitude, frame.n, 0, false);
    }
    if (this.at !== bytes.length) throw new FrameFault(`${bytes.length - this.at} bytes too many`);
    return frame;
  }

  private reserve(n: number): void {
    if (n <= this.slot.length) return;
    const size = Math.max(1024, 2 ** Math.ceil(Math.log2(n)));
    this.slot = new Uint32Array(size);
    this.lat = new Int32Array(size);
    this.lon = new Int32Array(size);
    this.speed = new Uint16Array(size);
    this.course = new Uint8Array(size);
    this.dt = new Float64Array(size);
    this.status = new Uint8Array(size);
    this.altitude = new Int32Array(size);
    this.count = new Uint32Array(size);
    this.looks = new Uint8Array(size);
    this.lookCounts = new Uint32Array(size * LOOKS);
    this.cellSpeed = new Uint8Array(size);
    this.place = new Uint8Array(size);
  }

  private varint(): number {
    const { bytes } = this;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at >= bytes.length) throw new FrameFault('frame ends inside a column');
      const byte = bytes[this.at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
    throw new FrameFault('number too long');
  }

  /** Up to 2^53. */
  private longVarint(): number {
    const { bytes } = this;
    let value = 0;
    for (let weight = 1; weight < 2 ** 53; weight *= 128) {
      if (this.at >= bytes.length) throw new FrameFault('frame ends inside a column');
      const byte = bytes[this.at++];
      value += (byte & 127) * weight;
      if (byte < 128) return value;
    }
    throw new FrameFault('number too long');
  }

  private readCells(n: number, x: number, y: number): Viewport {
    if (this.at + 5 > this.bytes.length) throw new FrameFault('frame ends inside its viewport');
    const body = new DataView(this.bytes.buffer, this.bytes.byteOffset + this.at, 5);
    const viewport = { zoom: body.getUint8(0), x, y, w: body.getUint16(1, true), h: body.getUint16(3, true) };
    const world = 2 ** viewport.zoom;
    if (viewport.zoom > MAX_VIEWPORT_ZOOM || !(x >= 0 && x < world && y >= 0 && y < world)) throw new FrameFault(`viewport ${x}/${y}`);
    this.at += 5;
    this.readSlots(n, viewport.w * viewport.h * CELLS_PER_TILE ** 2);
    this.readBytes(this.looks, n);
    for (let k = 0; k < n; k++) this.readLooks(k);
    for (const column of [this.cellSpeed, this.course, this.place]) this.readBytes(column, n);
    return viewport;
  }

  private readLooks(k: number): void {
    if (this.looks[k] >> LOOKS !== 0) throw new FrameFault(`looks ${this.looks[k]}`);
    this.count[k] = 0;
    for (let look = 0; look < LOOKS; look++) {
      const n = this.looks[k] & (1 << look) ? this.varint() : 0;
      if (n === 0 && this.looks[k] & (1 << look)) throw new FrameFault('a look that nobody has');
      this.lookCounts[k * LOOKS + look] = n;
      this.count[k] += n;
    }
  }

  private readSlots(n: number, end: number): void {
    let slot = -1;
    for (let k = 0; k < n; k++) {
      slot += 1 + this.varint();
      if (slot >= end) throw new FrameFault(`slot ${slot}`);
      this.slot[k] = slot;
    }
  }

  private readVarints(column: Float64Array, n: number): void {
    for (let k = 0; k < n; k++) column[k] = this.longVarint();
  }

  /** Zigzag varints, running from `base` if `cumulative`. */
  private readDeltas(column: Int32Array, n: number, base: number, cumulative = true): void {
    let value = base;
    for (let k = 0; k < n; k++) {
      const zigzag = this.varint();
      const delta = (zigzag >>> 1) ^ -(zigzag & 1);
      value = cumulative ? (value + delta) | 0 : delta;
      column[k] = value;
    }
  }

  private readFixed(n: number): void {
    const end = this.at + 3 * n;
    if (end > this.bytes.length) throw new FrameFault('frame ends inside a column');
    const { bytes, speed } = this;
    for (let k = 0, at = this.at; k < n; k++, at += 2) speed[k] = bytes[at] | (bytes[at + 1] << 8);
    this.at += 2 * n;
    this.readBytes(this.course, n);
  }

  private readBytes(column: Uint8Array, n: number): void {
    if (this.at + n > this.bytes.length) throw new FrameFault('frame ends inside a column');
    column.set(this.bytes.subarray(this.at, this.at + n));
    this.at += n;
  }
}
