import { expect, it } from 'vitest';
import type { Viewport } from '../wire/types';
import { CountedCells } from './counted';
import { notOfCells, type Filter } from './protocol';
import { FLAG_FULL, Ft1Decoder, KIND_CELLS, type FrameHeader } from './ft1';

const GERMANY: Viewport = { zoom: 6, x: 33, y: 20, w: 2, h: 2 };

/** Cells given as [number, count]. */
function take(cells: CountedCells, viewport: Viewport, told: [number, number][], flags = 0): void {
  const decoder = new Ft1Decoder();
  const n = told.length;
  decoder.slot = Uint32Array.from(told, ([cell]) => cell);
  decoder.count = Uint32Array.from(told, ([, count]) => count);
  // One raises an alarm, the others move.
  decoder.lookCounts = Uint32Array.from(told.flatMap(([, count]) => [Math.max(0, count - 1), 0, 0, 0, 0, Math.min(1, count)]));
  decoder.cellSpeed = new Uint8Array(n).fill(255);
  decoder.course = new Uint8Array(n);
  decoder.place = new Uint8Array(n).fill(0x0f);
  const head: FrameHeader = { kind: KIND_CELLS, flags, epoch: 1, seq: 1, t0: 0, n, viewport };
  cells.take(decoder, head);
}
/** Column and row in the world, and count. */
const shown = (cells: CountedCells): [number, number, number][] =>
  [...cells.passing()].map((c): [number, number, number] => [Math.round(c.left / cells.edge), Math.round(c.top / cells.edge), c.count]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);

it('puts cells where they are on the map', () => {
  const cells = new CountedCells();
  take(cells, GERMANY, [[0, 5], [9, 7]], FLAG_FULL);
  expect(shown(cells)).toEqual([[132, 80, 5], [133, 81, 7]]);
  const [cell] = [...cells.passing()];
  expect([cell.x * 256, cell.y * 256, cell.usual, cell.worst, cell.speedKmh]).toEqual([132 + 15.5 / 16, 80 + 0.5 / 16, 0, 5, null]);
});

it('keeps what the next viewport has too, and forgets the rest', () => {
  const cells = new CountedCells();
  take(cells, GERMANY, [[0, 5], [7, 7], [63, 2]], FLAG_FULL);
  // One tile to the east: the old second column of tiles is the first now.
  take(cells, { ...GERMANY, x: 34 }, [[3, 0], [4, 9]]);
  expect(shown(cells)).toEqual([[139, 87, 2], [140, 80, 9]]);
  take(cells, { ...GERMANY, zoom: 7 }, [[0, 1]]);
  expect(shown(cells)).toEqual([[132, 80, 1]]);
  take(cells, { zoom: 0, x: 0, y: 0, w: 0, h: 0 }, [], FLAG_FULL);
  expect([cells.viewport, cells.size]).toEqual([null, 0]);
});

it('goes on over the antimeridian', () => {
  const cells = new CountedCells();
  const pacific: Viewport = { zoom: 3, x: 7, y: 3, w: 2, h: 1 };
  take(cells, pacific, [[0, 1], [4, 2]], FLAG_FULL);
  expect(shown(cells)).toEqual([[0, 12, 2], [28, 12, 1]]);
  take(cells, { ...pacific, x: 0 }, []);
  expect(shown(cells)).toEqual([[0, 12, 2]]);
});

it('knows where most vehicles are', () => {
  const cells = new CountedCells();
  expect(cells.extent()).toBeNull();
  take(cells, GERMANY, [[0, 1], [9, 500], [18, 400], [63, 1]], FLAG_FULL);
  const box = cells.extent();
  expect(box?.map((v) => v * 256)).toEqual([133, 81, 135, 83]);
  expect([cells.resolves(box ?? [0, 0, 0, 0]), cells.resolves([0.5, 0.3, 0.5 + 8 / 256, 0.3])]).toEqual([false, true]);
});

it('counts exactly who has a wanted status, and says nothing of some that is known of all only', () => {
  const cells = new CountedCells();
  const decoder = new Ft1Decoder();
  decoder.slot = Uint32Array.from([0, 5, 9]);
  decoder.count = Uint32Array.from([12, 1, 4]);
  decoder.lookCounts = Uint32Array.from([7, 0, 3, 0, 0, 2, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0]);
  decoder.cellSpeed = Uint8Array.from([40, 0, 50]);
  decoder.course = Uint8Array.from([0, 64, 0]);
  decoder.place = new Uint8Array(3);
  cells.take(decoder, { kind: KIND_CELLS, flags: FLAG_FULL, epoch: 1, seq: 1, t0: 0, n: 3, viewport: GERMANY });
  const passing = (...wanted: number[]) => {
    cells.wanted = wanted;
    return [...cells.passing()].map(({ count, usual, worst, speedKmh, alone }) => ({ count, usual, worst, speedKmh, alone }));
  };
  const lone = { count: 1, usual: 2, worst: 2, speedKmh: 0, alone: true };
  expect(passing()).toEqual([
    { count: 12, usual: 0, worst: 5, speedKmh: 40, alone: false }, lone, { count: 4, usual: 0, worst: 0, speedKmh: 50, alone: false },
  ]);
  // Parked; moving: all of the last cell do; in alarm or parked.
  expect(passing(2)).toEqual([{ count: 3, usual: 2, worst: 2, speedKmh: null, alone: false }, lone]);
  expect(passing(0)).toEqual([
    { count: 7, usual: 0, worst: 0, speedKmh: null, alone: false }, { count: 4, usual: 0, worst: 0, speedKmh: 50, alone: false },
  ]);
  expect(passing(5, 2)).toEqual([{ count: 5, usual: 2, worst: 5, speedKmh: null, alone: false }, lone]);
  expect(passing(1)).toEqual([]);
  // What is counted stays counted.
  expect([cells.size, passing().length]).toEqual([3, 3]);
});

it('knows which parts of a filter it can not answer', () => {
  const filter: Filter = { text: ' ', fleet: 'north', looks: [0, 5], sort: 'age', fence: null, attribute: '', devices: null };
  expect(notOfCells(filter)).toEqual([]);
  expect(notOfCells({ ...filter, text: 'bus', fence: 'yard', attribute: 'ignition' })).toEqual(['text', 'fence', 'attribute']);
  expect(notOfCells({ ...filter, attribute: 'power_v<12', devices: ['a'] })).toEqual(['attribute']);
});
