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

it('knows of whole fleets where they are now, with each question', () => {
  const told = heard(null, true);
  const { whereabouts, looked } = seek(told);
  expect([whereabouts.answer(), whereabouts.answer()]).toEqual([FLEET, null]);
  told.box = [0.1, 0.2, 0.6, 0.7];
  whereabouts.ask();
  expect([whereabouts.answer(), whereabouts.wanted, looked]).toEqual([[0.1, 0.2, 0.6, 0.7], false, []]);
});

it('waits for the first vehicle', () => {
  const told = heard(null, true);
  told.box = null;
  const { whereabouts } = seek(told);
  expect([whereabouts.answer(), whereabouts.wanted]).toEqual([null, true]);
  told.box = FLEET;
  expect(whereabouts.answer()).toEqual(FLEET);
});

it('asks the server closer and closer where vehicles are counted, and remembers', () => {
  const told = heard(WORLD);
  const { whereabouts, looked, sight } = seek(told);
  expect([whereabouts.answer(), looked.length]).toEqual([null, 1]);
  // What comes before the answer is of the world still.
  expect([whereabouts.answer(), looked.length]).toEqual([null, 1]);
  told.cells.viewport = sight.now;
  expect(whereabouts.answer()).toEqual(FLEET);
  // Later cells, or vehicles one by one, are those of what the map shows.
  for (const viewport of [ELSEWHERE, null]) {
    told.cells.viewport = viewport;
    told.box = [0.9, 0.9, 0.91, 0.91];
    whereabouts.ask();
    expect([whereabouts.answer(), looked.length]).toEqual([FLEET, 1]);
  }
});
