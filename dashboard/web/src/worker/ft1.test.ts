import { describe, expect, it } from 'vitest';
import { FLAG_DT, FLAG_STATUS, FrameFault, Ft1Decoder, KIND_DELTA, KIND_REMOVED, SPEED_UNKNOWN } from './ft1';

interface Record { slot: number; lat: number; lon: number; speed: number; course: number; dt: number; status: number }

/** An encoder written from the format's description, for tests only. */
export function encode(kind: number, records: Record[], t0 = 1_750_000_000_000, epoch = 9, seq = 1): Uint8Array {
  const out: number[] = [];
  const varint = (v: number): void => {
    for (; v >= 128; v = Math.floor(v / 128)) out.push((v % 128) | 128);
    out.push(v);
  };
  const zigzag = (v: number): void => varint(v < 0 ? -2 * v - 1 : 2 * v);
  const head = new DataView(new ArrayBuffer(32));
  head.setUint8(0, 0x46);
  head.setUint8(1, 0x10 | kind);
  head.setUint16(2, kind === KIND_REMOVED ? 0 : FLAG_DT | FLAG_STATUS, true);
  head.setUint32(4, epoch, true);
  head.setUint32(8, seq, true);
  head.setFloat64(12, t0, true);
  head.setUint32(20, records.length, true);
  head.setInt32(24, records[0]?.lat ?? 0, true);
  head.setInt32(28, records[0]?.lon ?? 0, true);
  let slot = -1;
  for (const r of records) {
    varint(r.slot - slot - 1);
    slot = r.slot;
  }
  if (kind !== KIND_REMOVED) {
    for (const key of ['lat', 'lon'] as const) {
      let last = records[0]?.[key] ?? 0;
      for (const r of records) {
        zigzag(r[key] - last);
        last = r[key];
      }
    }
    for (const r of records) out.push(r.speed & 255, r.speed >> 8);
    for (const r of records) out.push(r.course);
    for (const r of records) varint(r.dt);
    for (const r of records) out.push(r.status);
  }
  return Uint8Array.from([...new Uint8Array(head.buffer), ...out]);
}

const RECORDS: Record[] = [
  { slot: 0, lat: 52_229_676, lon: 21_012_229, speed: 543, course: 64, dt: 0, status: 7 },
  { slot: 1, lat: -90_000_000, lon: 180_000_000, speed: 0, course: 255, dt: 12, status: 4 },
  { slot: 300, lat: 90_000_000, lon: -180_000_000, speed: SPEED_UNKNOWN, course: 0, dt: 9_460_800_000, status: 0x45 },
];

describe('FT1', () => {
  it('is read as it was written, with the corners of the world and a report three years old', () => {
    const decoder = new Ft1Decoder();
    const head = decoder.decode(encode(KIND_DELTA, RECORDS));
    expect(head).toMatchObject({ kind: KIND_DELTA, epoch: 9, seq: 1, t0: 1_750_000_000_000, n: 3 });
    const read = RECORDS.map((_, k) => ({
      slot: decoder.slot[k], lat: decoder.lat[k], lon: decoder.lon[k], speed: decoder.speed[k], course: decoder.course[k],
      dt: decoder.dt[k], status: decoder.status[k],
    }));
    expect(read).toEqual(RECORDS);
  });

  it('tells removed slots', () => {
    const decoder = new Ft1Decoder();
    const head = decoder.decode(encode(KIND_REMOVED, RECORDS));
    expect([head.kind, ...decoder.slot.subarray(0, head.n)]).toEqual([KIND_REMOVED, 0, 1, 300]);
  });

  it('refuses every cut of a frame, and never fails otherwise on a changed byte', () => {
    const decoder = new Ft1Decoder();
    const good = encode(KIND_DELTA, RECORDS);
    for (let cut = 0; cut < good.length; cut++) {
      expect(() => decoder.decode(good.subarray(0, cut))).toThrow(FrameFault);
    }
    for (let at = 0; at < good.length; at++) {
      for (const byte of [0, 0x7f, 0x80, 0xff]) {
        const bad = good.slice();
        bad[at] = byte;
        try {
          decoder.decode(bad);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameFault);
        }
      }
    }
    expect(decoder.decode(good).n).toBe(3);
  });

  it('believes no count that the bytes can not hold', () => {
    const lie = encode(KIND_DELTA, RECORDS);
    new DataView(lie.buffer).setUint32(20, 0xffffffff, true);
    expect(() => new Ft1Decoder().decode(lie)).toThrow(FrameFault);
  });
});
