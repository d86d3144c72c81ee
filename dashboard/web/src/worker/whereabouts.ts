/** Answers where all vehicles are. Where the server tells of a part of the map only, it is asked closer and closer, beginning with the world. */

import type { CountedCells } from './counted';
import { sameViewport, type Sight } from './sight';

/** Mercator [x0, y0, x1, y1]. */
type Box = [number, number, number, number];
/** Vehicles that are told one by one say nothing of the viewport that they are of: so long is waited for theirs. */
const ONE_BY_ONE_MS = 1_000;

interface Known {
  /** Whether the server tells of all vehicles. */
  readonly whole: boolean;
  readonly cells: Pick<CountedCells, 'viewport' | 'resolves'>;
  extent(): Box | null;
}

export class Whereabouts {
  /** Somebody waits for the answer: the map doesn't say what it shows meanwhile. */
  wanted = true;
  private askedAt = -Infinity;

  constructor(private live: Known, private sight: Sight) {}

  ask(now: number): void {
    this.wanted = true;
    this.askedAt = now;
    if (!this.live.whole) this.sight.lookEverywhere();
  }

  /** Once for each question; null while it isn't known. */
  answer(now: number): Box | null {
    const box = this.wanted ? this.known(now) : null;
    if (box) this.wanted = false;
    return box;
  }

  private known(now: number): Box | null {
    const { cells, whole } = this.live;
    const box = this.live.extent();
    if (!box || whole) return box;
    if (!cells.viewport) return now - this.askedAt >= ONE_BY_ONE_MS ? box : null;
    if (!sameViewport(cells.viewport, this.sight.now)) return null;
    if (cells.resolves(box)) return box;
    this.sight.look(box);
    return null;
  }
}
