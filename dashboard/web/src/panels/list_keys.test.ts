import { expect, it } from 'vitest';
import { placeAfter } from './list_keys';

it.each([
  ['ArrowDown', 3, 4], ['ArrowUp', 3, 2], ['PageDown', 3, 12], ['PageUp', 12, 3], ['Home', 7, 0], ['End', 7, 99_999],
  ['ArrowUp', 0, 0], ['ArrowDown', 99_999, 99_999], ['PageUp', 4, 0], ['PageDown', 99_995, 99_999], ['a', 3, null], ['constructor', 3, null],
])('%s from place %i leads to %s', (key, at, to) => {
  expect(placeAfter(key, at, 9, 100_000)).toBe(to);
});
