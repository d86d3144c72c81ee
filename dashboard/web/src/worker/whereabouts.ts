/** Answers where all vehicles are. Where they are counted the server is asked closer and closer, beginning with the world. */

import type { CountedCells } from './counted';
import { sameViewport, type Sight } from './sight';

/** Mercator [x0, y0, x1, y1]. */
type Box = [number, number, number, number];

interface Known {
  /** Whether the server tells of all vehicles. */
  readonly whole: boolean;
  readonly cells: Pick<CountedCells, 'viewport' | 'resolves'>;
  extent(): Box | null;
}

export class Whereabouts {
  /** Somebody waits for the answer: until the first it isn't the map that says what the server is asked for. */
  wanted = true;
  private last: Box | null = null;

  constructor(private live: Known, private sight: Sight) {}

  ask(): void {
    this.wanted = true;
  }

  /** Once for each question; null while it isn't known. */
  answer(): Box | null {
    if (!this.wanted) return null;
    const box = this.known();
    if (box) {
      this.last = box;
      this.wanted = false;
    }
    return box;
  }

  private known(): Box | null {
    const { cells, whole } = this.live;
    // To look away from what the map shows would be seen; that many vehicles are not elsewhere all at once.
    if (!whole && this.last) return this.last;
    const box = this.live.extent();
    if (!box || !cells.viewport || cells.resolves(box)) return box;
    if (sameViewport(cells.viewport, this.sight.now)) this.sight.look(box);
    return null;
  }
}
