/** Thousands of vehicles in the list: each can be come to. Real binary, real browser. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { FLAGS, SHOTS, enter } from './browser';
import { System } from './system';

/** Hundreds of times what is in sight. A unit test orders 100,000, and the harness of the live map has as many, in a build that is optimised. */
const VEHICLES = 8_000;
/** Until as many reports are taken in, by a build that is not optimised. */
const START_MS = 300_000;
/** As in the stylesheet. */
const ROW_PX = 46;
const device = (n: number): string => `v-${String(n).padStart(6, '0')}`;

let system: System;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  system = await System.create();
  // One report of each: what takes time are reports, and the list has no use for more.
  const now = new Date().toISOString();
  const rows = Array.from({ length: VEHICLES }, (_, n) => `${device(n)},${now},${(47 + (n % 317) / 317).toFixed(5)},${(10 + Math.floor(n / 317) / 317).toFixed(5)}`);
  const file = join(system.data, 'tracks.csv');
  await writeFile(file, `device_id,time,lat,lon\n${rows.join('\n')}\n`);
  await system.command('import', file);
  await system.start();
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await enter(page, system);
}, START_MS);

/** Each case finds the page as if it had just been opened, and all of them told of. */
beforeEach(async () => {
  await page.goto(system.origin);
  await page.waitForFunction((n) => window.waystream?.stats?.matching === n, VEHICLES, { timeout: START_MS });
}, START_MS);

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
});

const row = (n: number): ReturnType<Page['locator']> => page.locator(`.vehicle-row[data-device="${device(n)}"]:visible`);

async function scrollTo(px: number): Promise<void> {
  await page.locator('.scroller:visible').evaluate((scroller, top) => {
    scroller.scrollTop = top;
  }, px);
}

/** Whether somebody sees the row: it is inside the part of the list that is shown, as far as `spare` px. */
async function isInSight(n: number, spare = 1): Promise<boolean> {
  const [list, box] = [await page.locator('.scroller:visible').boundingBox(), await row(n).boundingBox()];
  return list !== null && box !== null && box.y >= list.y - spare && box.y + box.height <= list.y + list.height + spare;
}

it('scrolls through all of them, to the last', async () => {
  await page.getByText(`${VEHICLES.toLocaleString('en-US')} vehicles`, { exact: true }).waitFor();
  await row(0).waitFor();
  await scrollTo(VEHICLES / 2 * ROW_PX);
  await row(VEHICLES / 2).waitFor();
  expect(await isInSight(VEHICLES / 2)).toBe(true);
  await scrollTo(VEHICLES * ROW_PX);
  await row(VEHICLES - 1).waitFor();
  expect(await isInSight(VEHICLES - 1)).toBe(true);
  // Only those in sight exist.
  expect(await page.locator('.vehicle-row').count()).toBeLessThan(60);
  await page.screenshot({ path: join(SHOTS, '17-list.png') });
});

it('opens the last one, and finds one of them by its name', async () => {
  await row(0).waitFor();
  await scrollTo(VEHICLES * ROW_PX);
  await row(VEHICLES - 1).click();
  const card = page.getByRole('complementary', { name: 'Vehicle details' });
  await card.locator('.card-title').filter({ hasText: device(VEHICLES - 1) }).waitFor();
  await page.locator('[data-search]').fill(device(6_789));
  await page.waitForFunction(() => window.waystream?.stats?.matching === 1);
  await row(6_789).waitFor();
  // A list of one begins at its beginning.
  expect(await isInSight(6_789)).toBe(true);
  await page.locator('[data-search]').fill('');
  await page.waitForFunction((n) => window.waystream?.stats?.matching === n, VEHICLES);
  await row(0).waitFor();
});
