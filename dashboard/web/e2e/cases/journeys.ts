/** The table of trips and stops. */

import { readFile } from 'node:fs/promises';
import { type Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import { ask, page, panel, shot } from '../stage';

const table = (): Locator => page.locator('.journeys-panel');
const rows = (): Locator => table().locator('tbody tr');
const devices = (of = page): Promise<(string | null)[]> =>
  of.locator('.journeys-panel tbody tr').evaluateAll((all) => all.map((row) => row.getAttribute('data-journey')));
const listed = async (): Promise<void> => {
  await panel('trips');
  await rows().first().waitFor({ timeout: 60_000 });
};
/** Those of one vehicle that has driven a while. */
const ofOne = async (): Promise<unknown> => {
  const [[device]] = await ask('SELECT device FROM trips WHERE ended_at IS NOT NULL AND distance_m > 500 ORDER BY device LIMIT 1');
  await table().getByLabel('Vehicle').fill(String(device));
  await table().getByLabel('Vehicle').press('Enter');
  await expect.poll(async () => [...new Set(await devices())]).toEqual([device]);
  return device;
};

it('lists trips by what is wanted first, and of one vehicle', async () => {
  await listed();
  await table().getByRole('button', { name: 'Distance' }).click();
  await table().locator('th[aria-sort=descending]').filter({ hasText: 'Distance' }).waitFor();
  // Trips end meanwhile.
  await expect.poll(async () => {
    await table().getByRole('button', { name: 'Refresh' }).click();
    await table().getByRole('status').filter({ hasText: /trip|first/ }).waitFor();
    const [[longest]] = await ask('SELECT device FROM trips WHERE distance_m IS NOT NULL ORDER BY distance_m DESC LIMIT 1');
    return (await devices())[0] === longest;
  }, { timeout: 30_000 }).toBe(true);
  await table().getByRole('button', { name: 'Distance' }).click();
  await table().locator('th[aria-sort=ascending]').filter({ hasText: 'Distance' }).waitFor();
  await shot('18-trips');
  const device = await ofOne();
  // Whoever opens its address sees the same.
  await page.waitForURL((url) => /trips_vehicle=.*trips_sort=distance_m/.test(url.hash));
  const other = await page.context().newPage();
  await other.goto(page.url());
  // Trips end meanwhile.
  await expect.poll(async () => [...new Set(await devices(other))], { timeout: 30_000 }).toEqual([device]);
  await other.locator('th[aria-sort=ascending]').filter({ hasText: 'Distance' }).waitFor();
  await other.close();
});

it('leads from a trip to its way and its replay, and from a stop to its place', async () => {
  const dot = page.locator('.place-dot');
  await listed();
  // Shortest first.
  for (const order of ['descending', 'ascending']) {
    await table().getByRole('button', { name: 'Distance' }).click();
    await table().locator(`th[aria-sort=${order}]`).filter({ hasText: 'Distance' }).waitFor();
  }
  await ofOne();
  await rows().first().getByRole('button', { name: /^Show on the map/ }).click();
  await dot.waitFor();
  await rows().first().getByRole('button', { name: /^Replay/ }).click();
  await page.waitForFunction(() => window.waystream?.replay?.count === 1, null, { timeout: 60_000 });
  // What was looked at goes with the table.
  await dot.waitFor({ state: 'detached' });
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
  await panel('trips');
  await table().getByLabel('Vehicle').fill('');
  await table().getByLabel('Vehicle').press('Enter');
  await table().locator('select').first().selectOption('stops');
  await table().getByRole('status').filter({ hasText: /stop|first/ }).waitFor();
  await rows().first().getByRole('button', { name: /^Show on the map/ }).click();
  await dot.waitFor();
  await shot('18-stops');
});

it('gives the table as a file, and says which range is none', async () => {
  await listed();
  await table().locator('select').first().selectOption('stops');
  await table().getByRole('status').filter({ hasText: /stop|first/ }).waitFor();
  const [file] = await Promise.all([page.waitForEvent('download'), table().getByRole('button', { name: 'CSV' }).click()]);
  expect(file.suggestedFilename()).toBe('stops.csv');
  expect((await readFile(await file.path(), 'utf8')).split('\n')[0].trim()).toBe('device,vehicle,fleet_name,started_at,ended_at,duration_s,idle_s,lat,lon');
  await table().getByLabel('To', { exact: true }).fill('2001-01-01T00:00:00');
  await table().getByRole('alert').filter({ hasText: 'must end after' }).waitFor();
  await table().getByLabel('From', { exact: true }).fill('2000-12-31T00:00:00');
  await table().getByText('None in this time.').waitFor();
});
