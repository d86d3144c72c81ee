/** The pictures of the README, light and dark, of the dashboard as it is. Somebody looks at them before they are committed. */

import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { GeofenceFeature, SqlAnswer } from '../src/wire/types';
import { FLAGS, enter } from './browser';
import { System } from './system';

const DOCS = join(import.meta.dirname, '../../../docs');
const VEHICLES = 400;
const ZOOM = 14;
const HEADERS = { 'x-waystream': '1' };

let system: System;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  // Without tiles of others: whoever makes the pictures gets the same, online or not.
  system = await System.create({ WAYSTREAM_GATEWAY__TILES_URL: '""' });
  await system.start('demo', '--vehicles', String(VEHICLES), '--history', '20');
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })).newPage();
  await enter(page, system);
  await page.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES, { timeout: 60_000 });
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
});

/** A yard such as somebody draws by hand, a little off to the side of a place. */
function yardAt(lat: number, lon: number): Omit<GeofenceFeature, 'properties'> & { properties: { name: string } } {
  const corners = [[-0.013, -0.006], [0.009, -0.0065], [0.0085, 0.004], [-0.0125, 0.0045]].map(([x, y]) => [lon + x, lat + y]);
  return { type: 'Feature', properties: { name: 'Depot' }, geometry: { type: 'Polygon', coordinates: [[...corners, corners[0]]] } };
}

/** What is drawn from now on is on the screen. */
async function drawn(): Promise<void> {
  const before = await page.evaluate(() => window.waystream?.frames ?? 0);
  await page.waitForFunction((n) => (window.waystream?.frames ?? 0) > n + 5, before);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

it('shows vehicles, a geofence, its alerts and one vehicle’s details, light and dark', async () => {
  const query = 'SELECT device, lat, lon FROM latest_positions WHERE speed_mps > 8 ORDER BY device LIMIT 1';
  const answer = (await (await page.request.post(`${system.origin}/api/sql`, { headers: HEADERS, data: { query, format: 'json' } })).json()) as SqlAnswer;
  const [device, lat, lon] = answer.rows[0] as [string, number, number];
  expect((await page.request.post(`${system.origin}/api/geofences`, { headers: HEADERS, data: yardAt(lat, lon) })).status()).toBe(201);
  const row = page.locator(`.vehicle-row[data-device="${device}"]:visible`);
  if (await page.locator('[data-panel=vehicles]').getAttribute('aria-pressed') !== 'true') await page.locator('[data-panel=vehicles]').click();
  await page.locator('[data-search]').fill(device);
  await row.click();
  const card = page.getByRole('complementary', { name: 'Vehicle details' });
  await card.locator('.attributes dt').first().waitFor();
  await card.locator('.chart-plot .u-over').waitFor();
  await page.locator('[data-search]').fill('');
  await page.locator('[data-panel=alerts]').click();
  await page.locator('[data-event]').nth(12).waitFor({ timeout: 120_000 });
  for (const [theme, file] of [['light', 'dashboard.png'], ['dark', 'dashboard-dark.png']] as const) {
    if (theme === 'dark') await page.getByRole('button', { name: 'Dark mode' }).click();
    // Wherever it is by now: left of the middle, which the details cover less.
    await page.evaluate(async ([id, zoom]) => {
      const at = await window.waystream?.locate(id);
      if (at) window.waystream?.setView(at.lat, at.lon + 0.008, zoom);
    }, [device, ZOOM] as const);
    await drawn();
    await page.mouse.move(2, 2);
    await page.screenshot({ path: join(DOCS, file) });
  }
});
