/** Replays more closely: one vehicle with its speed and stops, and a fleet beside the live map. */

import { type Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import type { EventsAnswer } from '../../src/wire/types';
import { VEHICLES, ask, mapPixels, page, panel, shot, system } from '../stage';

const dock = (): Locator => page.getByRole('region', { name: 'Replay controls' });
const form = (): Locator => page.locator('.panel .form');
const at = (): Promise<number> => page.evaluate(() => window.waystream?.replay?.at ?? 0);
const later = (than: number): Promise<unknown> => page.waitForFunction((t) => (window.waystream?.replay?.at ?? 0) > t, than, { timeout: 60_000 });
const pause = async (): Promise<void> => {
  await dock().getByRole('button', { name: 'Pause' }).click();
  await page.waitForFunction(() => window.waystream?.replay?.playing === false);
};
const close = async (): Promise<void> => {
  await dock().getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
};
const seek = async (moment: number): Promise<void> => {
  const { from, to } = await page.evaluate(() => window.waystream?.replay ?? { from: 0, to: 1 });
  await dock().getByLabel('Moment').fill(String(Math.round(((moment - from) / (to - from)) * 10_000)));
  await expect.poll(at).toBeGreaterThan(moment - 2_000);
};
/** Once nothing on the map moves any more. */
const settled = async (): Promise<number> => {
  for (let before = await mapPixels(); ;) {
    await page.waitForTimeout(300);
    const now = await mapPixels();
    if (now === before) return now;
    before = now;
  }
};

it('shows speed and stops of a replayed vehicle, follows it, and steps from fix to fix', async () => {
  const stop = async (): Promise<unknown[] | undefined> => {
    const query = 'SELECT device, started_at, ended_at FROM stops WHERE ended_at IS NOT NULL AND duration_s > 60 ORDER BY ended_at LIMIT 1';
    return (await ask(query))[0];
  };
  await expect.poll(stop, { timeout: 90_000 }).toBeDefined();
  const [device, started, ended] = (await stop() ?? []).map(String);
  await panel('vehicles');
  await page.locator('[data-search]').fill(device);
  await page.locator(`.vehicle-row:visible[data-device="${device}"]`).click();
  await page.locator('[data-search]').fill('');
  await panel('replay');
  await form().getByLabel('Vehicles').selectOption(`device:${device}`);
  await form().getByRole('button', { name: 'All', exact: true }).click();
  await form().getByLabel('Speed').selectOption('10');
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => window.waystream?.replay?.playing === true, null, { timeout: 60_000 });
  const chart = page.locator('.has-way canvas.ticks');
  const drawn = async (what: 'speeds' | 'stops'): Promise<number> => Number(await chart.getAttribute(`data-${what}`));
  await expect.poll(() => drawn('speeds'), { timeout: 30_000 }).toBeGreaterThan(20);
  expect(await drawn('stops')).toBeGreaterThan(0);
  await pause();
  await seek((Date.parse(started) + Date.parse(ended)) / 2);
  await page.locator('.needle-value').filter({ hasText: 'stopped' }).waitFor();
  await shot('6-replay-speed');
  // The chart is clicked like the slider.
  const box = await chart.boundingBox();
  if (!box) throw new Error('no chart');
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await expect.poll(async () => Math.abs(Number(await dock().getByLabel('Moment').inputValue()) - 5_000)).toBeLessThan(100);

  // It has set off: the map goes with it, until somebody moves the map.
  await seek(Date.parse(ended));
  const follow = page.getByRole('complementary', { name: 'Vehicle details' }).getByRole('button', { name: 'Follow' });
  expect(await follow.getAttribute('aria-pressed')).toBe('true');
  const corner = (): Promise<string> => page.evaluate(() => JSON.stringify(window.waystream?.pointOf(0, 0)));
  const where = await corner();
  await dock().getByLabel('Speed').selectOption('20');
  await dock().getByRole('button', { name: 'Play' }).click();
  await expect.poll(corner, { timeout: 30_000 }).not.toBe(where);
  await later(Date.parse(ended) + 90_000);
  await pause();

  // Trails of a length of one's choice.
  const withTrails = await settled();
  await dock().getByLabel('Trails').selectOption('0');
  await expect.poll(mapPixels, { timeout: 30_000 }).not.toBe(withTrails);
  await dock().getByLabel('Trails').selectOption('3600000');
  const inPurple = await settled();
  await page.getByRole('button', { name: 'Colour by speed' }).click();
  await expect.poll(mapPixels, { timeout: 30_000 }).not.toBe(inPurple);
  await shot('6-replay-trail');
  await page.getByRole('button', { name: 'Colour by speed' }).click();
  await dock().getByLabel('Trails').selectOption('');

  await dock().getByLabel('Step', { exact: true }).selectOption('0');
  const fixes = [await at()];
  for (let n = 0; n < 2; n++) {
    await dock().getByRole('button', { name: 'Next fix' }).click();
    await later(fixes[n]);
    fixes.push(await at());
  }
  await dock().getByRole('button', { name: 'Previous fix' }).click();
  await expect.poll(at).toBe(fixes[1]);
  await page.waitForFunction(() => window.waystream?.replay?.count === 1);
  await dock().getByLabel('Step', { exact: true }).selectOption('10000');
  await dock().getByRole('button', { name: 'Forward 10 seconds' }).click();
  await expect.poll(at).toBe(fixes[1] + 10_000);
  await dock().getByRole('button', { name: 'Back 10 seconds' }).click();
  await expect.poll(at).toBe(fixes[1]);

  const map = await page.locator('.map').boundingBox();
  if (!map) throw new Error('no map');
  await page.mouse.move(map.x + map.width / 2, map.y + map.height / 3);
  await page.mouse.down();
  await page.mouse.move(map.x + map.width / 2 - 60, map.y + map.height / 3 + 40, { steps: 4 });
  await page.mouse.up();
  await expect.poll(() => follow.getAttribute('aria-pressed')).toBe('false');
  await close();
});

it('replays a fleet beside the live map, slower and faster while it runs', async () => {
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await panel('replay');
  await form().getByLabel('Vehicles').selectOption('fleet:taxi');
  await form().getByRole('button', { name: '15 min' }).click();
  await form().getByLabel('Speed').selectOption('0.25');
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 20, null, { timeout: 60_000 });
  // A quarter of all are taxis.
  expect(await page.evaluate(() => window.waystream?.replay?.count ?? 0)).toBeLessThan(VEHICLES / 2);
  await later(await at());
  await page.waitForFunction((n) => (window.waystream?.inView ?? n) < n, VEHICLES / 2);
  // Nor are alerts of others among its own.
  await expect.poll(() => page.locator('.panel [data-event]:visible').count(), { timeout: 30_000 }).toBeGreaterThan(0);
  const listed = await page.locator('.panel [data-event]:visible').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-event')));
  const { from, to } = await page.evaluate(() => window.waystream?.replay ?? { from: 0, to: 0 });
  const asked = `api/events?after=&limit=1000&from=${from}&to=${to}&kind=enter,exit`;
  const { events } = await (await page.request.get(`${system.origin}/${asked}`)).json() as EventsAnswer;
  expect(events.filter((e) => listed.includes(e.event_id) && e.fleet !== 'taxi')).toEqual([]);
  await dock().getByLabel('Live vehicles').check();
  await page.waitForFunction((n) => (window.waystream?.inView ?? 0) > n, VEHICLES / 2);
  const applied = (): Promise<[number, number]> =>
    page.evaluate(() => [window.waystream?.stats?.applied ?? 0, window.waystream?.replay?.applied ?? 0]);
  const [live, past] = await applied();
  await dock().getByLabel('Speed').selectOption('50');
  await page.waitForFunction(([l, p]) => (window.waystream?.stats?.applied ?? 0) > l && (window.waystream?.replay?.applied ?? 0) > p, [live, past] as const);
  await shot('6-replay-beside');
  await dock().getByLabel('Speed').selectOption('1000');
  await page.waitForFunction(() => window.waystream?.replay?.done === true, null, { timeout: 60_000 });
  expect(await page.evaluate(() => window.waystream?.replay?.count ?? 0)).toBeLessThan(VEHICLES / 2);
  await close();
});
