import { describe, expect, it } from 'vitest';
import { between, heirOf, offsetsOf } from './tall_list';

describe('a list of rows that are not alike', () => {
  const rows = [42, 46, 46, 42, 46].map((px, n) => ({ key: String(n), px }));
  const offsets = offsetsOf(rows);

  it('begins each row where the one before it ends', () => {
    expect(offsets).toEqual([0, 42, 88, 134, 176, 222]);
    expect(offsetsOf([])).toEqual([0]);
  });

  it.each([
    ['all', 0, 222, 0, 5], ['more than all', -600, 822, 0, 5], ['the first', 0, 41, 0, 1], ['part of two', 41, 43, 0, 2],
    ['the middle of one', 50, 60, 1, 2], ['the last', 180, 222, 4, 5], ['nothing, behind the end', 300, 400, 5, 5], ['nothing, before the beginning', -200, -100, 0, 0],
  ])('knows which are in sight: %s', (_, top, bottom, from, to) => {
    expect(between(offsets, top, bottom)).toEqual([from, to]);
  });

  it('leaves none out that is in sight, and has few of many', () => {
    const many = Array.from({ length: 10_000 }, (_, n) => ({ key: String(n), px: n % 100 === 0 ? 42 : 46 }));
    const all = offsetsOf(many);
    for (let top = 0; top < all[10_000]; top += 9_973) {
      const [from, to] = between(all, top, top + 500);
      const seen = many.map((_, n) => n).filter((n) => all[n] < top + 500 && all[n + 1] > top);
      expect([from <= seen[0], to > seen[seen.length - 1], to - from <= 14]).toEqual([true, true, true]);
    }
  });

  it('has none of none', () => {
    expect(between([0], -600, 600)).toEqual([0, 0]);
  });
});

it.each([
  ['the next', 'b', 'acd', 'c'], ['the next that is left', 'b', 'ad', 'd'], ['the one before the last', 'd', 'abc', 'c'],
  ['the one before that is left', 'd', 'a', 'a'], ['nobody', 'a', '', null], ['who was listed, if it was not', 'x', 'bd', 'b'],
])('the focus of a row that is gone goes to %s', (_, key, left, heir) => {
  expect(heirOf(key, ['a', 'b', 'c', 'd'], (one) => left.includes(one))).toBe(heir);
});
