import { describe, expect, it } from 'vitest';
import type { FromWorker } from './protocol';
import { Replay } from './replay';

const OPEN = { action: 'open', devices: null, fleet: null, from: 0, to: 100_000, speed: 1 } as const;

function opened(): { replay: Replay; told: number[] } {
  const told: number[] = [];
  const replay = new Replay(() => null, (message: FromWorker) => {
    if (message.type === 'replay-state') told.push(message.state.at);
  });
  replay.act(1, OPEN, 0);
  replay.act(1, { action: 'seek', at: 10_000 }, 0);
  return { replay, told };
}

const state = (at: number): Parameters<Replay['state']>[0] => ({ id: 1, at, playing: false, speed: 1, done: false });

describe('a step to a moment', () => {
  it('is where the clock is at once, whatever the server says that has not heard of it', () => {
    const { replay, told } = opened();
    replay.act(1, { action: 'step', to: 20_000, device: null }, 0);
    expect(replay.clock.now(0)).toBe(20_000);
    replay.state(state(10_000), 0);
    expect(replay.clock.now(0)).toBe(20_000);
    replay.state(state(20_000), 0);
    // From then on the server's word counts again.
    replay.state(state(15_000), 0);
    expect(told).toEqual([20_000, 20_000, 15_000]);
  });

  it('is forgotten when the clock is put elsewhere', () => {
    const { replay } = opened();
    replay.act(1, { action: 'step', to: 20_000, device: null }, 0);
    replay.act(1, { action: 'seek', at: 5_000 }, 0);
    replay.state(state(5_000), 0);
    expect(replay.clock.now(0)).toBe(5_000);
  });
});
