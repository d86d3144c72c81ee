/** A tracker that nobody has entered is refused, and its owner or an installer adopts it. Real binary, real browsers, real reports. */

import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { UserLink } from '../src/wire/types';
import { FLAGS, PASSWORD, SHOTS } from './browser';
import { System } from './system';

const DEVICE = '356307042441013';
const ANOTHER = '356307042441021';

let browser: Browser;
let system: System;
/** The owner's. */
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  system = await System.create({ WAYSTREAM_CONNECTORS__UNKNOWN_DEVICES: 'refuse' });
  await system.start();
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
});

async function newPage(): Promise<Page> {
  const made = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })).newPage();
  made.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  return made;
}

/** Signs in by a link that works once, and chooses a password. */
async function come(who: Page, link: string): Promise<void> {
  await who.goto(link);
  await who.locator('dialog input[type=password]').fill(PASSWORD);
  await who.getByRole('button', { name: 'Save' }).click();
  await who.locator('dialog').waitFor({ state: 'detached' });
  const vehicles = who.locator('[data-panel=vehicles]');
  if (await vehicles.getAttribute('aria-pressed') !== 'true') await vehicles.click();
}

async function report(device = DEVICE): Promise<number> {
  const seconds = Math.floor(Date.now() / 1000);
  return (await fetch(`http://${system.osmand}/?id=${device}&lat=52.1&lon=21.0&timestamp=${seconds}`)).status;
}

it('adopts a device that was refused, whose next report is on the map', async () => {
  const refused = await report();
  expect(refused >= 400 && refused < 500, `status ${refused}`).toBe(true);

  page = await newPage();
  await come(page, await system.link());
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

it('lets an installer adopt a device and see where it is, and shows nothing else', async () => {
  const invited = await page.request.post(`${system.origin}/api/users`, { headers: { 'x-waystream': '1' }, data: { id: 'fitter', role: 'installer' } });
  expect(invited.status()).toBe(201);
  const refused = await report(ANOTHER);
  expect(refused >= 400 && refused < 500, `status ${refused}`).toBe(true);
  const theirs = await newPage();
  const forbidden: string[] = [];
  theirs.on('response', (response) => {
    if (response.status() === 403) forbidden.push(response.url());
  });
  await come(theirs, `${system.origin}${((await invited.json()) as UserLink).path}`);

  await theirs.getByRole('button', { name: '1 unknown device…' }).click();
  const dialog = theirs.getByRole('dialog', { name: 'Unknown devices' });
  // Adopt it is all they may: what is dismissed is gone for the owner too.
  await dialog.locator(`[data-device="${ANOTHER}"]`).waitFor();
  expect(await dialog.locator(`[data-device="${ANOTHER}"]`).getByRole('button').count()).toBe(1);
  await dialog.getByRole('button', { name: `Adopt ${ANOTHER}` }).click();
  await dialog.getByLabel('Name', { exact: true }).fill('Van 8');
  await dialog.getByRole('button', { name: 'Adopt', exact: true }).click();
  await dialog.getByText('No unknown device has reported.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  expect(await report(ANOTHER)).toBe(200);
  const row = theirs.locator(`.vehicle-row[data-device="${ANOTHER}"]`);
  await row.filter({ hasText: 'Van 8' }).waitFor({ timeout: 60_000 });

  await row.click();
  const card = theirs.getByRole('complementary', { name: 'Vehicle details' });
  await card.getByText('Protocol').waitFor();
  const offered = await card.getByRole('button').evaluateAll((buttons) => (buttons as HTMLElement[]).map((button) => button.textContent || button.title));
  expect(offered.filter((name) => /Trail|Replay|Share|Hand over|command/.test(name))).toEqual([]);
  expect(await card.getByRole('link').count()).toBe(0);
  expect(await theirs.locator('[data-panel]').evaluateAll((all) => all.map((each) => (each as HTMLElement).dataset['panel']))).toEqual(['vehicles']);
  expect(await theirs.getByRole('button', { name: 'Heat map' }).count()).toBe(0);
  // Nor does a key or an address lead there.
  await theirs.locator('.map').focus();
  for (const key of ['h', 'q', 'a', 'f']) await theirs.keyboard.press(key);
  await theirs.goto(`${system.origin}/#?panel=sql`);
  await theirs.locator('[data-panel=vehicles][aria-pressed=true]').waitFor();
  expect(await theirs.locator('.cm-editor, .heat-box:visible, [data-event]').count()).toBe(0);
  await theirs.screenshot({ path: join(SHOTS, '14-installer.png') });
  // The page has not asked for what it may not have; who asks by hand is told so.
  expect(forbidden).toEqual([]);
  for (const path of ['events', 'geofences', 'users', 'notifications/rules']) expect((await theirs.request.get(`${system.origin}/api/${path}`)).status(), path).toBe(403);
  const asked = await theirs.request.post(`${system.origin}/api/sql`, { headers: { 'x-waystream': '1' }, data: { query: 'SELECT * FROM positions', format: 'json' } });
  expect(asked.status()).toBe(403);
  expect(complaints).toEqual([]);
});
