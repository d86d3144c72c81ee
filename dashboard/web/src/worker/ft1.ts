/** Reads FT1 frames: little-endian columns of positions, one frame a Socket.IO attachment. */

export const KIND_SNAPSHOT = 0;
export const KIND_DELTA = 1;
export const KIND_REMOVED = 2;

export const FLAG_ALTITUDE = 1;
export const FLAG_DT = 2;
export const FLAG_STATUS = 4;
export const FLAG_LAST = 8;
export const FLAG_REPLAY = 16;

/** Speed of a vehicle that does not tell it. */
export const SPEED_UNKNOWN = 0xffff;

const MAGIC = 0x46;
const VERSION = 1;
const HEADER_BYTES = 32;
/** More records than this in one frame, or a slot beyond it, is a broken frame, not a fleet. */
const MAX_RECORDS = 1 << 21;
const MAX_SLOT = 1 << 22;

export interface FrameHeader {
  kind: number;
  flags: number;
  epoch: number;
  seq: number;
  /** Time base of the frame, ms since the Unix epoch. */
  t0: number;
  n: number;
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
    };
    if (!Number.isFinite(frame.t0)) throw new FrameFault('no time base');
    if (frame.kind > KIND_REMOVED) throw new FrameFault(`frame kind ${frame.kind}`);
    // A record takes at least 1 byte (removed) or 6 (position): a count beyond that is a lie, found before allocating.
    const least = frame.kind === KIND_REMOVED ? 1 : 6;
    if (frame.n > MAX_RECORDS || frame.n * least > bytes.length - HEADER_BYTES) {
      throw new FrameFault(`${frame.n} records in ${bytes.length} bytes`);
    }
    this.bytes = bytes;
    this.at = HEADER_BYTES;
    this.reserve(frame.n);
    this.readSlots(frame.n);
    if (frame.kind !== KIND_REMOVED) {
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

  private readSlots(n: number): void {
    let slot = -1;
    for (let k = 0; k < n; k++) {
      slot += 1 + this.varint();
      if (slot >= MAX_SLOT) throw new FrameFault(`slot ${slot}`);
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
