/** The past: replay, exports, SQL. */

import { readFile } from 'node:fs/promises';
import { type Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import type { DeviceInfo, SavedQueryInfo } from '../../src/wire/types';
import { FENCE, VEHICLES, page, panel, shot, system, vehiclesShown } from '../stage';

it('replays the past: play, seek, pause, close', async () => {
  await panel('replay');
  await page.getByRole('button', { name: '15 min' }).click();
  await page.locator('.panel .form').getByLabel('Vehicles').selectOption('all:');
  await page.locator('.panel .form').getByLabel('Speed').selectOption('10');
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 50, null, { timeout: 60_000 });
  const start = await page.evaluate(() => window.waystream?.replay?.at ?? 0);
  await page.waitForFunction((t) => (window.waystream?.replay?.at ?? 0) > t + 10_000, start);
  const dock = page.getByRole('region', { name: 'Replay controls' });
  // Slow enough to be still on its way when it is told to pause.
  await dock.getByLabel('Speed').selectOption('5');
  const slider = await dock.getByLabel('Moment').boundingBox();
  if (!slider) throw new Error('no slider');
  await page.mouse.click(slider.x + slider.width / 2, slider.y + slider.height / 2);
  await page.waitForFunction((t) => (window.waystream?.replay?.at ?? 0) > t + 300_000 && (window.waystream?.replay?.count ?? 0) > 50, start);
  await shot('6-replay');
  await dock.getByRole('button', { name: 'Pause' }).click();
  await dock.getByRole('button', { name: 'Play' }).waitFor();
  await dock.getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
});

it('exports the tracks of a replay', async () => {
  await panel('alerts');
  await page.locator('[data-event]').first().getByRole('button', { name: 'Replay this moment' }).click();
  await page.waitForFunction(() => window.waystream?.replay?.count === 1, null, { timeout: 60_000 });
  const menu = page.getByRole('region', { name: 'Replay controls' }).getByLabel('Export');
  for (const [format, start] of [['gpx', '<?xml'], ['csv', 'device_id,'], ['geojson', '{'], ['kml', '<?xml'], ['xlsx', 'PK'], ['parquet', 'PAR1']] as const) {
    const [file] = await Promise.all([page.waitForEvent('download'), menu.selectOption(format)]);
    const text = await readFile(await file.path(), 'utf8');
    expect(text.slice(0, start.length), format).toBe(start);
    expect(text.length, format).toBeGreaterThan(300);
  }
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
});

it('exports what is replayed of more vehicles than an address can name', async () => {
  const devices = await (await page.request.get(`${system.origin}/api/devices`)).json() as DeviceInfo[];
  // A text that most have in their name or id, and not all.
  const having = [...'0123456789abcdefghijklmnopqrstuvwxyz'].map((text) => ({ text, n: devices.filter(({ id, name }) => `${id} ${name}`.toLowerCase().includes(text)).length }));
  const { text, n } = having.filter((each) => each.n < VEHICLES).sort((a, b) => b.n - a.n)[0];
  expect(n).toBeGreaterThan(200);
  await panel('vehicles');
  await page.locator('[data-search]').fill(text);
  await page.waitForFunction((wanted) => window.waystream?.stats?.matching === wanted, n);
  await panel('replay');
  await page.getByRole('button', { name: '15 min' }).click();
  await page.locator('.panel .form').getByLabel('Vehicles').selectOption('listed:');
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 0, null, { timeout: 60_000 });
  const dock = page.getByRole('region', { name: 'Replay controls' });
  const [request, file] = await Promise.all([
    page.waitForRequest((each) => each.url().endsWith('/api/export')), page.waitForEvent('download', { timeout: 90_000 }), dock.getByLabel('Export').selectOption('kml'),
  ]);
  expect(request.method()).toBe('POST');
  const marks = (await readFile(await file.path(), 'utf8')).match(/<Placemark>/g) ?? [];
  expect(marks.length).toBeGreaterThan(200);
  expect(marks.length).toBeLessThanOrEqual(n);
  await dock.getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
  await panel('vehicles');
  await page.locator('[data-search]').fill('');
});

it('replays the moment of an alert', async () => {
  await panel('alerts');
  await page.getByLabel('Search vehicle or geofence').fill(FENCE);
  const alert = page.locator('[data-event]').filter({ hasText: FENCE }).first();
  await alert.getByRole('button', { name: 'Replay this moment' }).click({ timeout: 90_000 });
  await page.waitForFunction(() => window.waystream?.replay?.playing === true && window.waystream.replay.count === 1, null, { timeout: 60_000 });
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
});

it('completes SQL, answers it with a table, a chart and dots on the map, and marks what is wrong', async () => {
  await panel('sql');
  const editor = page.getByLabel('SQL query');
  await page.locator('.cm-editor').waitFor();
  const answered = (rows: string): Promise<void> => page.locator('.sql-status').getByText(rows).waitFor();
  const view = (name: string): Locator => page.locator(`[data-view=${name}]`);
  // Completed from what the server tells of itself: a column of a table, and a function of ours.
  await editor.fill('SELECT latest_positions.alti');
  await page.keyboard.press('Control+Space');
  await page.locator('.cm-tooltip-autocomplete').getByText('altitude_m').waitFor();
  await page.keyboard.press('Escape');
  await editor.fill('SELECT haversi');
  await page.keyboard.press('Control+Space');
  await page.locator('.cm-tooltip-autocomplete').getByText('haversine_m').first().waitFor();
  await shot('7-sql-completion');
  await page.keyboard.press('Escape');
  await editor.fill('SELECT device, count(*) AS n FROM positions GROUP BY device ORDER BY n DESC LIMIT 20');
  await editor.press('Control+Enter');
  await page.locator('.sql-result tbody tr').nth(19).waitFor();
  expect(await view('chart').isDisabled()).toBe(true);
  expect(await view('map').isDisabled()).toBe(true);
  await shot('7-sql');
  await editor.fill("SELECT date_trunc('minute', fix_time) AS minute, count(*) AS reports FROM positions GROUP BY minute ORDER BY minute");
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('.sql-result th').getByText('minute').waitFor();
  await view('chart').click();
  await page.locator('.sql-result .u-over').waitFor();
  await shot('7-sql-chart');
  await editor.fill('SELECT device, lat, lon, speed_mps FROM latest_positions');
  await page.getByRole('button', { name: 'Run' }).click();
  await answered(`${VEHICLES} rows`);
  await view('map').click();
  await page.getByText(`${VEHICLES} rows on the map`).waitFor();
  expect(await page.locator('.leaflet-results-pane canvas').count()).toBe(1);
  await shot('7-sql-map');
  await view('table').click();
  expect(await page.locator('.leaflet-results-pane canvas').count()).toBe(0);
  await editor.fill('SELECT nonsense FROM positions');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('.sql-error').filter({ hasText: 'nonsense' }).waitFor();
  expect(await page.locator('.cm-lintRange-error').textContent()).toBe('nonsense');
  await editor.fill('SELECT device\nFORM positions LIMIT 3');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('.cm-lintRange-error').filter({ hasText: 'positions' }).waitFor();
});

it('keeps a query for everybody: saved, found again, renamed, deleted', async () => {
  await panel('sql');
  const editor = page.getByLabel('SQL query');
  const saved = page.locator('.saved-queries');
  const list = saved.getByLabel('Saved queries');
  const kept = async (): Promise<{ name: string; query: string }[]> =>
    ((await (await page.request.get(`${system.origin}/api/queries`)).json()) as SavedQueryInfo[]).map(({ name, query }) => ({ name, query }));
  await editor.fill('SELECT 1 AS one');
  await saved.getByRole('button', { name: 'Save query' }).click();
  await saved.getByLabel('Name of the query').fill('Just one');
  await saved.getByRole('button', { name: 'Save', exact: true }).click();
  await expect.poll(kept).toEqual([{ name: 'Just one', query: 'SELECT 1 AS one' }]);
  // What is chosen is saved again under its name.
  await editor.fill('SELECT 2 AS two');
  await saved.getByRole('button', { name: 'Save query' }).click();
  await expect.poll(kept).toEqual([{ name: 'Just one', query: 'SELECT 2 AS two' }]);
  // Renamed, it keeps its words.
  await editor.fill('SELECT 3 AS three');
  await saved.getByRole('button', { name: 'Rename the saved query' }).click();
  await saved.getByLabel('Name of the query').fill('Just two');
  await saved.getByRole('button', { name: 'Save', exact: true }).click();
  await expect.poll(kept).toEqual([{ name: 'Just two', query: 'SELECT 2 AS two' }]);
  await saved.getByRole('button', { name: 'Save as new…' }).click();
  await saved.getByLabel('Name of the query').fill('Three');
  await saved.getByRole('button', { name: 'Save', exact: true }).click();
  await expect.poll(async () => (await kept()).map(({ name }) => name)).toEqual(['Just two', 'Three']);
  await shot('7-sql-saved');
  // Somebody who comes later finds it and runs it.
  await page.reload();
  await vehiclesShown();
  await panel('sql');
  await list.selectOption({ label: 'Just two' });
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('.sql-result th').getByText('two').waitFor();
  for (const name of ['Just two', 'Three']) {
    await list.selectOption({ label: name });
    page.once('dialog', (question) => void question.accept());
    await saved.getByRole('button', { name: 'Delete the saved query' }).click();
    await list.locator('option', { hasText: name }).waitFor({ state: 'detached' });
  }
  expect(await kept()).toEqual([]);
});
