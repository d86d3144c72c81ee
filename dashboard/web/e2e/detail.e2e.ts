/** A fleet that is too large to be told of vehicle by vehicle, made small by the settings: real binary, real browser. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { FLAGS, SHOTS, enter } from './browser';
import { System } from './system';

const VEHICLES = 400;
/** Of an answer of SQL to a page. */
const MAX_ROWS = 50;

let system: System;
let browser: Browser;
let page: Page;
const complaints: string[] = [];
const shot = (name: string): Promise<Buffer> => page.screenshot({ path: join(SHOTS, `${name}.png`) });
const stats = (): Promise<{ cells: number; count: number; matching: number; inView: number }> => page.evaluate(() => {
  const { stats, inView } = window.waystream ?? { stats: null, inView: 0 };
  return { cells: stats?.cells ?? 0, count: stats?.count ?? 0, matching: stats?.matching ?? 0, inView };
});

const start = (): Promise<void> => system.start('demo', '--vehicles', String(VEHICLES), '--history', '1');

beforeAll(async () => {
  await mkdir(SHOTS, { recursive: true });
  system = await System.create({ WAYSTREAM_GATEWAY__MAX_FLEET_VEHICLES: '100', WAYSTREAM_GATEWAY__MAX_VIEW_VEHICLES: '50', WAYSTREAM_SQL__MAX_ROWS: String(MAX_ROWS) });
  await start();
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })).newPage();
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  await enter(page, system);
});

/** Each case finds the page as if it had just been opened, with the whole fleet in its view. */
beforeEach(async () => {
  if (!system.isRunning) await start();
  await page.goto(system.origin);
  await expect.poll(async () => (await stats()).count, { timeout: 60_000 }).toBe(VEHICLES);
  await expect.poll(async () => (await stats()).cells, { timeout: 30_000 }).toBeGreaterThan(3);
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await expect.poll(async () => (await stats()).inView, { timeout: 30_000 }).toBeGreaterThan(VEHICLES * 0.9);
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
});

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await shot('failed');
});

it('shows counted cells of the whole fleet', async () => {
  const { cells, count, matching } = await stats();
  expect([count, matching]).toEqual([VEHICLES, VEHICLES]);
  expect(cells).toBeGreaterThan(3);
  expect(cells).toBeLessThan(VEHICLES);
  await shot('8-cells');
});

it('brings all vehicles into view at the start, but leads nobody back who has gone elsewhere before', async () => {
  const far = { lat: -33.9, lon: 18.4 };
  /** From the middle of the map, px. */
  const off = async (): Promise<number> => {
    const box = await page.locator('.leaflet-container').boundingBox();
    if (!box) throw new Error('no map');
    const { x, y } = await page.evaluate(({ lat, lon }) => window.waystream?.pointOf(lat, lon) ?? { x: -1, y: -1 }, far);
    return Math.hypot(x - box.x - box.width / 2, y - box.y - box.height / 2);
  };
  await page.goto('about:blank');
  await page.goto(system.origin);
  await page.waitForFunction(({ lat, lon }) => {
    window.waystream?.setView(lat, lon, 12);
    return window.waystream !== undefined;
  }, far);
  // The server is asked closer and closer all the same, and then for what the map shows.
  await expect.poll(async () => (await stats()).count, { timeout: 30_000 }).toBe(VEHICLES);
  await expect.poll(async () => (await stats()).cells, { timeout: 30_000 }).toBe(0);
  await page.waitForTimeout(1_000);
  expect(await off()).toBeLessThan(2);
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await expect.poll(async () => (await stats()).inView, { timeout: 30_000 }).toBeGreaterThan(VEHICLES * 0.9);
  expect(await off()).toBeGreaterThan(10_000);
  await page.goto('about:blank');
  await page.goto(system.origin);
  await expect.poll(off, { timeout: 30_000 }).toBeGreaterThan(10_000);
});

it('finds a vehicle in the list of the server, and flies to it', async () => {
  const rows = page.locator('.vehicle-row:visible');
  await rows.first().waitFor();
  const device = await rows.nth(3).getAttribute('data-device') ?? '';
  await page.locator('[data-search]').fill(device);
  await expect.poll(async () => (await stats()).matching, { timeout: 30_000 }).toBeLessThan(20);
  await page.locator(`.vehicle-row[data-device="${device}"]:visible`).click();
  await expect.poll(async () => (await stats()).cells, { timeout: 30_000 }).toBe(0);
  const place = await page.evaluate((d) => window.waystream?.locate(d), device);
  const { x, y } = await page.evaluate(([lat, lon]) => window.waystream?.pointOf(lat, lon) ?? { x: -1, y: -1 }, [place?.lat ?? 0, place?.lon ?? 0] as const);
  expect(x > 0 && x < 1280 && y > 0 && y < 800).toBe(true);
  await shot('8-near');
  // Far away again: it stays selected and is drawn over the cells.
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await expect.poll(async () => (await stats()).cells, { timeout: 30_000 }).toBeGreaterThan(3);
  const before = await page.evaluate((d) => window.waystream?.locate(d), device);
  await expect.poll(async () => (await page.evaluate((d) => window.waystream?.locate(d), device))?.fixTime, { timeout: 60_000 })
    .toBeGreaterThan(before?.fixTime ?? Infinity);
  await shot('8-selected');
  // Cells have no names: that is said.
  const note = page.locator('.map-note', { hasText: 'Counted areas are not filtered by name' });
  await note.waitFor();
  await page.locator('[data-search]').fill('');
  await expect.poll(async () => (await stats()).matching, { timeout: 30_000 }).toBe(VEHICLES);
  await note.waitFor({ state: 'hidden' });
});

it('counts only who passes a filter by status or by fleet', async () => {
  /** Vehicles in the cells of the map, where those at its edge may be missing, against the list of the server. */
  const agrees = async (): Promise<boolean> => {
    const { inView, matching } = await stats();
    return matching > 0 && matching < VEHICLES && Math.abs(inView - matching) < VEHICLES * 0.1;
  };
  const looks = await page.evaluate(() => window.waystream?.stats?.looks ?? []);
  const some = looks.filter((n) => n > 0);
  expect(some.length).toBeGreaterThan(1);
  const chip = page.locator('.chip').nth(looks.indexOf(Math.min(...some)));
  await chip.click();
  await expect.poll(agrees, { timeout: 30_000 }).toBe(true);
  await shot('8-status');
  await chip.click();
  await page.locator('.panel select:visible').filter({ has: page.locator('option', { hasText: 'All fleets' }) }).first().selectOption({ label: 'Taxis' });
  await expect.poll(agrees, { timeout: 30_000 }).toBe(true);
  await shot('8-fleet');
  await page.locator('.panel select:visible').filter({ has: page.locator('option', { hasText: 'All fleets' }) }).first().selectOption({ index: 0 });
  await expect.poll(async () => (await stats()).inView, { timeout: 30_000 }).toBeGreaterThan(VEHICLES * 0.9);
});

it('says when more vehicles pass a filter than the server names', async () => {
  await page.getByText('More filters').click();
  const attribute = page.getByLabel('Attribute');
  await attribute.fill('ignition');
  await attribute.press('Enter');
  await page.getByRole('alert').filter({ hasText: `${MAX_ROWS} of them are shown` }).waitFor();
  await expect.poll(async () => (await stats()).matching, { timeout: 30_000 }).toBe(MAX_ROWS);
  await attribute.fill('');
  await attribute.press('Enter');
  await expect.poll(async () => (await stats()).matching, { timeout: 30_000 }).toBe(VEHICLES);
  await page.getByRole('alert').filter({ hasText: 'of them are shown' }).waitFor({ state: 'detached' });
  await page.getByText('More filters').click();
});

it('goes on after the server has started again', async () => {
  await system.stop();
  await page.locator('.link-dot[data-state=lost]').waitFor({ timeout: 60_000 });
  await start();
  await page.locator('.link-dot[data-state=online]').waitFor({ timeout: 60_000 });
  await expect.poll(async () => (await stats()).cells, { timeout: 30_000 }).toBeGreaterThan(3);
  expect(complaints).toEqual([]);
});
