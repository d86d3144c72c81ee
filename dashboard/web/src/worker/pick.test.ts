import { expect, it } from 'vitest';
import { PickGrid } from './pick';

it('finds who was drawn near, nearest first, and of those at one place who lies on top', () => {
  const grid = new PickGrid();
  grid.reset(200, 100, 8);
  for (const [x, y, tag] of [[50, 50, 1], [53, 50, 2], [53, 50, 3], [90, 50, 4], [15, 16, 5], [16, 15, 6]]) grid.add(x, y, tag);
  expect(grid.near(51, 50, 5)).toEqual([1, 3, 2]);
  // Across the edges of the grid's squares.
  expect(grid.near(16, 16, 2).sort()).toEqual([5, 6]);
  expect(grid.near(120, 90, 10)).toEqual([]);
});

it('knows of the last picture only, also of what was added after somebody had asked', () => {
  const grid = new PickGrid();
  grid.reset(200, 100, 8);
  grid.add(20, 20, 1);
  expect(grid.near(20, 20, 3)).toEqual([1]);
  grid.add(21, 20, 2);
  expect(grid.near(20, 20, 3)).toEqual([1, 2]);
  grid.reset(200, 100, 8);
  expect(grid.near(20, 20, 3)).toEqual([]);
  grid.add(60, 20, 3);
  expect(grid.near(20, 20, 3)).toEqual([]);
  // Another size has other squares.
  grid.reset(400, 300, 100);
  grid.add(390, 290, 7);
  expect(grid.near(389, 290, 3)).toEqual([7]);
});
