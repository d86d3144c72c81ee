/** A tracker that nobody has entered is refused, and its owner adopts it. Real binary, real browser, real reports. */

import { join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FLAGS, PASSWORD, SHOTS } from './browser';
import { System } from './system';

const DEVICE = '356307042441013';

let browser: Browser;
let system: System;

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  system = await System.create({ WAYSTREAM_CONNECTORS__UNKNOWN_DEVICES: 'refuse' });
  await system.start();
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
});

async function report(): Promise<number> {
  const seconds = Math.floor(Date.now() / 1000);
  return (await fetch(`http://${system.osmand}/?id=${DEVICE}&lat=52.1&lon=21.0&timestamp=${seconds}`)).status;
}

it('adopts a device that was refused, whose next report is on the map', async () => {
  const refused = await report();
  expect(refused >= 400 && refused < 500, `status ${refused}`).toBe(true);

  const complaints: string[] = [];
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })).newPage();
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  await page.goto(await system.link());
  await page.locator('dialog input[type=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  const vehicles = page.locator('[data-panel=vehicles]');
  if (await vehicles.getAttribute('aria-pressed') !== 'true') await vehicles.click();
  await page.getByRole('button', { name: '1 unknown device…' }).click();

  const dialog = page.getByRole('dialog', { name: 'Unknown devices' });
  await dialog.locator(`[data-device="${DEVICE}"]`).filter({ hasText: 'osmand · 127.' }).waitFor();
  await page.screenshot({ path: join(SHOTS, '14-unknown-devices.png') });
  await dialog.getByRole('button', { name: `Adopt ${DEVICE}` }).click();
  await dialog.getByLabel('Name', { exact: true }).fill('Van 7');
  await dialog.getByRole('button', { name: 'Adopt', exact: true }).click();
  await dialog.getByText('No unknown device has reported.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await page.locator('[data-unknown]').waitFor({ state: 'hidden' });

  expect(await report()).toBe(200);
  await page.locator(`.vehicle-row[data-device="${DEVICE}"]`).filter({ hasText: 'Van 7' }).waitFor({ timeout: 60_000 });
  expect(complaints).toEqual([]);
});
