import { expect, it } from 'vitest';
import type { Viewport } from '../wire/types';
import { Sight, WORLD } from './sight';
import { Whereabouts } from './whereabouts';

type Box = [number, number, number, number];
const FLEET: Box = [0.52, 0.33, 0.53, 0.34];
const ELSEWHERE: Viewport = { zoom: 15, x: 17_000, y: 11_000, w: 6, h: 5 };

/** What the server has told. Cells resolve a box from zoom 9. */
function heard(viewport: Viewport | null, whole = false): { whole: boolean; cells: { viewport: Viewport | null }; box: Box | null } {
  return { whole, cells: { viewport }, box: FLEET };
}
function seek(told: ReturnType<typeof heard>): { sight: Sight; looked: Viewport[]; whereabouts: Whereabouts } {
  const looked: Viewport[] = [];
  const sight = new Sight((viewport) => looked.push(viewport));
  const live = {
    get whole() { return told.whole; },
    get cells() { return { ...told.cells, resolves: () => (told.cells.viewport?.zoom ?? 0) >= 9 }; },
    extent: () => told.box,
  };
  return { sight, looked, whereabouts: new Whereabouts(live, sight) };
}

it('knows at once of whole fleets, and anew with each question', () => {
  const told = heard(null, true);
  const { whereabouts, looked } = seek(told);
  expect([whereabouts.answer(0), whereabouts.answer(1)]).toEqual([FLEET, null]);
  told.box = [0.1, 0.2, 0.6, 0.7];
  whereabouts.ask(5);
  expect([whereabouts.answer(5), whereabouts.wanted, looked]).toEqual([[0.1, 0.2, 0.6, 0.7], false, []]);
});

it('waits for the first vehicle', () => {
  const told = heard(null, true);
  told.box = null;
  const { whereabouts } = seek(told);
  expect([whereabouts.answer(0), whereabouts.wanted]).toEqual([null, true]);
  told.box = FLEET;
  expect(whereabouts.answer(1)).toEqual(FLEET);
});

it('asks the server for the world, then closer, whatever the map shows meanwhile', () => {
  const told = heard(WORLD);
  const { whereabouts, looked, sight } = seek(told);
  // At the start the world is what the server tells of anyway.
  expect(whereabouts.answer(0)).toBeNull();
  expect(looked.length).toBe(1);
  // What comes before the answer is of the world still.
  expect([whereabouts.answer(1), looked.length]).toEqual([null, 1]);
  told.cells.viewport = sight.now;
  expect(whereabouts.answer(2)).toEqual(FLEET);
  // Later the cells are of what the map shows: small ones, but not of everybody.
  told.cells.viewport = ELSEWHERE;
  whereabouts.ask(3);
  expect([sight.now, whereabouts.answer(3)]).toEqual([WORLD, null]);
  told.cells.viewport = WORLD;
  expect(whereabouts.answer(4)).toBeNull();
  told.cells.viewport = sight.now;
  expect(whereabouts.answer(5)).toEqual(FLEET);
});

it('does not take the few in sight for all', () => {
  const told = heard(null);
  const { whereabouts, sight } = seek(told);
  whereabouts.ask(1_000);
  expect([sight.now, whereabouts.answer(1_100)]).toEqual([WORLD, null]);
  told.cells.viewport = WORLD;
  whereabouts.answer(1_200);
  told.cells.viewport = sight.now;
  expect(whereabouts.answer(1_300)).toEqual(FLEET);
  // In the whole world there may be few who have a place.
  told.cells.viewport = null;
  whereabouts.ask(2_000);
  expect([whereabouts.answer(2_900), whereabouts.answer(3_000)]).toEqual([null, FLEET]);
});
