/** When frames are acknowledged: seldom, but before the server waits for it. */

import type { SlotsMessage } from '../wire/types';

/** So often, or when so much has come: the server lets small frames go ahead for about twice as long. */
export const ACK_EVERY_MS = 500;
const ACK_AFTER_BYTES = 8_192;
/** What a row takes beside its texts, about. */
const ROW_BYTES = 16;

export class Acks {
  /** Since the last acknowledgement. */
  private bytes = 0;
  /** Frame that has not been acknowledged; it stands for all before it. */
  private newest: number | null = null;
  private at = 0;

  /** Rows come before the frame that uses them, and the server counts them with it. */
  rows({ slots }: SlotsMessage): void {
    for (const [, device, name, fleet] of slots) this.bytes += device.length + name.length + fleet.length + ROW_BYTES;
  }

  /** A frame has come that was so long; whether it is to be acknowledged at once. The server sends more of a snapshot only when it hears of what it has sent. */
  frame(seq: number, bytes: number, ofSnapshot: boolean, now: number): boolean {
    this.bytes += bytes;
    this.newest = seq;
    return ofSnapshot || this.bytes >= ACK_AFTER_BYTES || now - this.at >= ACK_EVERY_MS;
  }

  /** What is acknowledged now; null if nothing is left to be. */
  take(now: number): number | null {
    const { newest } = this;
    this.newest = null;
    this.bytes = 0;
    this.at = now;
    return newest;
  }
}
