/** What time it is for the sender: the server's clock, or a replay's. */

/** The server's clock as frames show it. Of several samples the one that was under way shortest is right. */
export class ServerClock {
  private offset: number | null = null;
  private at = 0;

  /** A frame with time base `t0` came at `wall`. */
  sample(t0: number, wall: number): void {
    const seen = t0 - wall;
    if (this.offset === null) {
      this.offset = seen;
    } else {
      // A faster frame is believed at once; otherwise drift by at most 1 ms a second, so that a stepped clock is followed.
      const drift = (wall - this.at) * 1e-3;
      this.offset = seen > this.offset ? seen : Math.max(seen, this.offset - drift);
    }
    this.at = wall;
  }

  get offsetMs(): number {
    return this.offset ?? 0;
  }

  now(wall: number): number {
    return wall + (this.offset ?? 0);
  }
}

const WAIT_AFTER_MS = 1_500;

/** A replay's clock: runs at its speed between the frames that set it. */
export class ReplayClock {
  private base = 0;
  private wall = 0;
  speed = 1;
  playing = false;

  set(at: number, wall: number): void {
    this.base = at;
    this.wall = wall;
  }

  now(wall: number): number {
    // The server tells its clock every second while it plays: without word of it the clock waits, rather than run away.
    return this.playing ? this.base + Math.min(wall - this.wall, WAIT_AFTER_MS) * this.speed : this.base;
  }
}
