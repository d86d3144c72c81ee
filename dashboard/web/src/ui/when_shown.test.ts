import { expect, it } from 'vitest';
import { whenShown } from './when_shown';

it('makes nothing while nobody sees it, and then what is newest, once', () => {
  let shown = false;
  const made: string[] = [];
  const tell = whenShown<string>(() => shown, (value) => made.push(value));
  for (const value of ['a', 'b', 'c']) tell(value);
  expect(made).toEqual([]);
  shown = true;
  for (const value of ['c', 'c', 'd']) tell(value);
  shown = false;
  tell('e');
  expect(made).toEqual(['c', 'd']);
});
