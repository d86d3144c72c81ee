import { expect, it } from 'vitest';
import { ReplayClock, ServerClock } from './clock';

it('believes the frame that was under way shortest', () => {
  const clock = new ServerClock();
  clock.sample(10_000, 10_300);
  clock.sample(11_000, 11_020);
  clock.sample(12_000, 12_500);
  expect(clock.now(13_000)).toBeCloseTo(12_980, -1);
});

it('follows a clock that was set back, slowly', () => {
  const clock = new ServerClock();
  clock.sample(100_000, 100_000);
  for (let t = 100; t <= 60_000; t += 100) clock.sample(100_000 + t - 50, 100_000 + t);
  expect(clock.offsetMs).toBe(-50);
});

it('runs a replay at its speed, and lets it wait when frames stay away', () => {
  const clock = new ReplayClock();
  clock.set(1_000, 0);
  clock.speed = 10;
  expect(clock.now(100)).toBe(1_000);
  clock.playing = true;
  expect(clock.now(100)).toBe(2_000);
  expect(clock.now(60_000)).toBe(clock.now(1_600));
});
