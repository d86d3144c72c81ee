/** A vehicle goes from one organisation to another. Real binary, two people in real browsers, real reports. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FLAGS, PASSWORD, SHOTS } from './browser';
import { System } from './system';

const DEVICE = '356307042441013';

let browser: Browser;
let system: System;
const complaints: string[] = [];

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  system = await System.create();
  await system.start();
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
});

async function report(): Promise<void> {
  // What was before the hand-over is the former owner's: in whole seconds, not before now.
  const seconds = Math.ceil(Date.now() / 1000);
  expect((await fetch(`http://${system.osmand}/?id=${DEVICE}&lat=52.1&lon=21.0&timestamp=${seconds}`)).status).toBe(200);
}

async function waystream(...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.env['WAYSTREAM_BIN'] ?? '', [...args, '--data', system.data])).stdout.trim();
}

async function signIn(link: string): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })).newPage();
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  await page.goto(link);
  await page.locator('dialog input[type=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  const vehicles = page.locator('[data-panel=vehicles]');
  if (await vehicles.getAttribute('aria-pressed') !== 'true') await vehicles.click();
  return page;
}

it('hands a vehicle over by a code, and both maps follow without being loaded again', async () => {
  await waystream('organisation', 'create', 'acme');
  const link = await waystream('user', 'create', 'anna', '--organisation', 'acme', '--role', 'owner');
  const [ours, theirs] = [await signIn(await system.link()), await signIn(`${system.origin}${link}`)];
  await report();
  const row = `.vehicle-row[data-device="${DEVICE}"]`;
  await ours.locator(row).click();
  ours.on('dialog', (dialog) => {
    dialog.accept().catch(() => undefined);
  });
  await ours.getByRole('button', { name: 'Hand over…' }).click();
  const shown = ours.getByLabel(`Code for ${DEVICE}`, { exact: true });
  const code = await shown.inputValue();
  await ours.screenshot({ path: join(SHOTS, '18-transfer-code.png') });
  await shown.locator('xpath=ancestor::dialog').getByRole('button', { name: 'Close' }).click();

  await theirs.getByRole('button', { name: 'Redeem a transfer code…' }).click();
  const dialog = theirs.getByRole('dialog', { name: 'Hand-over of vehicles' });
  await dialog.getByLabel('Code', { exact: true }).fill('0123-4567');
  await dialog.getByLabel('Name', { exact: true }).fill('Bought');
  await dialog.getByRole('button', { name: 'Take over' }).click();
  await dialog.getByRole('alert').filter({ hasText: 'no device is offered' }).waitFor();
  await dialog.getByLabel('Code', { exact: true }).fill(code);
  await dialog.getByRole('button', { name: 'Take over' }).click();
  await dialog.waitFor({ state: 'detached' });

  // Gone here, with what was known of it; there with its next report.
  await ours.locator(`${row}:visible`).waitFor({ state: 'detached' });
  await ours.getByRole('complementary', { name: 'Vehicle details' }).waitFor({ state: 'hidden' });
  expect(await theirs.locator(`${row}:visible`).count()).toBe(0);
  await report();
  await theirs.locator(row).filter({ hasText: 'Bought' }).waitFor({ timeout: 60_000 });
  expect(complaints).toEqual([]);
});
