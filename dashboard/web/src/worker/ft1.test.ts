import { describe, expect, it } from 'vitest';
import cellExamples from '../wire/cells.json';
import examples from '../wire/frames.json';
import { FrameFault, Ft1Decoder, KIND_REMOVED, LOOKS } from './ft1';

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

describe('FT1', () => {
  it.each(examples)('reads what the gateway writes: $name', (example) => {
    const decoder = new Ft1Decoder();
    const head = decoder.decode(bytesOf(example.hex));
    const { kind, flags, epoch, seq, t0, slot } = example;
    expect(head).toEqual({ kind, flags, epoch, seq, t0, n: slot.length, viewport: null });
    const n = slot.length;
    expect([...decoder.slot.subarray(0, n)]).toEqual(slot);
    if (kind === KIND_REMOVED) return;
    expect([...decoder.lat.subarray(0, n)]).toEqual(example.lat_e6);
    expect([...decoder.lon.subarray(0, n)]).toEqual(example.lon_e6);
    expect([...decoder.speed.subarray(0, n)]).toEqual(example.speed);
    expect([...decoder.course.subarray(0, n)]).toEqual(example.course);
    expect([...decoder.dt.subarray(0, n)].map((dt) => t0 - dt * 10)).toEqual(example.fix_time);
    expect([...decoder.status.subarray(0, n)]).toEqual(example.status);
  });

  it.each(cellExamples)('reads the cells that the gateway writes: $name', (example) => {
    const decoder = new Ft1Decoder();
    const { kind, flags, epoch, seq, t0, viewport, cell, looks, speed, course, place } = example;
    const n = cell.length;
    expect(decoder.decode(bytesOf(example.hex))).toEqual({ kind, flags, epoch, seq, t0, n, viewport });
    const columns = [decoder.slot, decoder.count, decoder.cellSpeed, decoder.course, decoder.place];
    const count = looks.map((counts) => counts.reduce((sum, n) => sum + n, 0));
    expect(columns.map((column) => [...column.subarray(0, n)])).toEqual([cell, count, speed, course, place]);
    expect([...decoder.lookCounts.subarray(0, n * LOOKS)]).toEqual(looks.flat());
  });

  it.each([...examples, ...cellExamples.map((e) => ({ name: e.name, hex: e.hex, slot: e.cell }))])('refuses every cut, and fails in no other way on a changed byte: $name', ({ hex, slot }) => {
    const decoder = new Ft1Decoder();
    const good = bytesOf(hex);
    for (let cut = 0; cut < good.length; cut++) {
      expect(() => decoder.decode(good.subarray(0, cut))).toThrow(FrameFault);
    }
    expect(() => decoder.decode(Uint8Array.from([...good, 0]))).toThrow(FrameFault);
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
    expect(decoder.decode(good).n).toBe(slot.length);
  });

  it('believes no count that the bytes can not hold', () => {
    const lie = bytesOf(examples[1].hex);
    new DataView(lie.buffer).setUint32(20, 0xffffffff, true);
    expect(() => new Ft1Decoder().decode(lie)).toThrow(FrameFault);
  });
});
