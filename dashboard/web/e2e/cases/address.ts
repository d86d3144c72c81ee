/** The address of what is shown: somebody else who opens it sees the same. */

import { expect, it } from 'vitest';
import { VEHICLES, page, panel } from '../stage';

it('gives addresses that show another the same: a replay at its moment, alerts, a heat map, an answer of SQL', async () => {
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await panel('replay');
  await page.getByRole('button', { name: '15 min' }).click();
  await page.locator('.panel .form').getByLabel('Vehicles').selectOption('all:');
  await page.locator('.panel .form').getByLabel('Speed').selectOption('20');
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 50, null, { timeout: 60_000 });
  const dock = page.getByRole('region', { name: 'Replay controls' });
  const slider = await dock.getByLabel('Moment').boundingBox();
  if (!slider) throw new Error('no slider');
  const start = await page.evaluate(() => window.waystream?.replay?.at ?? 0);
  await page.mouse.click(slider.x + slider.width / 2, slider.y + slider.height / 2);
  await page.waitForFunction((t) => (window.waystream?.replay?.at ?? 0) > t + 60_000, start);
  await dock.getByRole('button', { name: 'Pause' }).click();
  await dock.getByRole('button', { name: 'Play' }).waitFor();
  const words = (): URLSearchParams => new URLSearchParams(new URL(page.url()).hash.split('?')[1]);
  // The clock comes to rest where the server has paused.
  await expect.poll(async () => {
    const at = await page.evaluate(() => Math.round(window.waystream?.replay?.at ?? 0));
    return words().get('at') === String(at) && words().get('speed') === '20' && words().has('replay_all');
  }, { timeout: 30_000 }).toBe(true);
  const [from, to, at] = ['from', 'to', 'at'].map((key) => Number(words().get(key)));
  expect(at).toBeGreaterThan(start);

  const other = await page.context().newPage();
  await other.goto(page.url());
  await other.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 50, null, { timeout: 60_000 });
  expect(await other.evaluate(() => window.waystream?.replay?.at ?? 0)).toBeGreaterThanOrEqual(at - 1_000);
  expect(await other.getByRole('region', { name: 'Replay controls' }).getByLabel('Speed').inputValue()).toBe('20');

  // Addresses that are pasted into the open page.
  const place = page.url().split('#')[1].split('?')[0];
  const paste = (query: Record<string, string>): Promise<void> => other.evaluate((hash) => {
    location.hash = hash;
  }, `${place}?${new URLSearchParams(query).toString()}`);
  await paste({ panel: 'alerts', alerts: 'enter', heat: `${from}-${to}`, colour: 'speed', group: 'never' });
  await other.waitForFunction(() => window.waystream?.replay === null);
  await other.getByRole('region', { name: 'Heat map' }).getByText('Reports a cell').waitFor();
  await other.locator('.speed-legend').waitFor();
  await other.getByRole('button', { name: 'Group: never' }).waitFor();
  expect(await other.getByLabel('Kind').inputValue()).toBe('enter');
  await paste({ panel: 'sql', sql: 'SELECT device, lat, lon FROM latest_positions', sql_view: 'map' });
  await other.getByText(`${VEHICLES} rows on the map`).waitFor();
  await other.getByRole('region', { name: 'Heat map' }).waitFor({ state: 'hidden' });
  await other.close();
  await dock.getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
});
