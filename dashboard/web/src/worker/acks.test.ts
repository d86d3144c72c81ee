import { expect, it } from 'vitest';
import { ACK_EVERY_MS, Acks } from './acks';

/** As an id, a number plate and a fleet are. */
const rows = (n: number): [number, string, string, string][] =>
  Array.from({ length: n }, (_, slot) => [slot, '356307042441013', 'WX 12345', 'north']);

it('acknowledges small frames seldom, and parts of a snapshot at once', () => {
  const acks = new Acks();
  expect(acks.frame(1, 40, true, 1_000)).toBe(true);
  expect(acks.take(1_000)).toBe(1);
  expect(acks.take(1_000)).toBe(null);
  for (let seq = 2; seq < 6; seq++) expect(acks.frame(seq, 1_200, false, 1_000 + seq)).toBe(false);
  expect(acks.frame(6, 1_200, false, 1_000 + ACK_EVERY_MS)).toBe(true);
  expect(acks.take(1_000 + ACK_EVERY_MS)).toBe(6);
});

it('acknowledges at once what is long, with the names that came before it: the server waits after few of those', () => {
  const acks = new Acks();
  acks.take(1_000);
  expect(acks.frame(1, 8_192, false, 1_001)).toBe(true);
  expect(acks.take(1_001)).toBe(1);
  // Two hundred vehicles that come into sight: 2.6 kB of positions, and far more of names.
  acks.rows({ epoch: 1, slots: rows(200) });
  expect(acks.frame(2, 2_600, false, 1_002)).toBe(true);
  expect(acks.take(1_002)).toBe(2);
  acks.rows({ epoch: 1, slots: rows(1) });
  expect(acks.frame(3, 60, false, 1_003)).toBe(false);
});
