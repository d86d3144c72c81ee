/** By finger, on a screen as wide as a hand. */

import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { PANEL_NAMES } from '../../src/state';
import { SHOTS } from '../browser';
import { browser, page, system, withoutFences } from '../stage';

const WIDTH = 390;
const HEIGHT = 780;
/** Two taps within a fifth of a second are a double-click, as nobody sets two corners so fast. */
const BETWEEN_TAPS_MS = 400;

let phone: Page;
const shot = (name: string): Promise<Buffer> => phone.screenshot({ path: join(SHOTS, `9-phone-${name}.png`) });
const rail = (name: string): Promise<void> => phone.locator(`[data-panel=${name}]`).tap();
const button = (name: string): ReturnType<Page['locator']> => phone.getByRole('button', { name, exact: true });

/** What can be pressed or written into, and nobody gets at, as it sticks out sideways. */
const sticksOut = (): Promise<string[]> => phone.evaluate((width) => [...document.querySelectorAll<HTMLElement>('button, input, select, textarea, a, h1, h2')]
  // The map and tables can be moved.
  .filter((element) => element.checkVisibility() && element.closest('.leaflet-pane, .sql-result, .journeys') === null)
  .filter((element) => {
    const { left, right, width: own } = element.getBoundingClientRect();
    return own > 0 && (left < -1 || right > width + 1);
  })
  .map((element) => element.outerHTML.slice(0, 150)), WIDTH);

/** Each case has a phone of its own. */
async function takeUp(): Promise<void> {
  const context = await browser.newContext({ viewport: { width: WIDTH, height: HEIGHT }, hasTouch: true, isMobile: true, deviceScaleFactor: 2, colorScheme: 'light' });
  await context.addCookies(await page.context().cookies());
  // Pop-ups lie over the map, where corners will be set.
  await context.addInitScript(() => localStorage.setItem('waystream.toasts', 'off'));
  phone = await context.newPage();
  await phone.goto(system.origin);
  await phone.waitForFunction(() => (window.waystream?.stats?.count ?? 0) > 0 && (window.waystream?.inView ?? 0) > 0, null, { timeout: 60_000 });
}

it('fits a phone: nothing sticks out of any panel, dialog or box', async () => {
  await takeUp();
  const found: string[] = [];
  const look = async (where: string): Promise<void> => {
    found.push(...(await sticksOut()).map((html) => `${where}: ${html}`));
  };
  await look('map');
  for (const name of PANEL_NAMES) {
    await rail(name);
    await phone.locator(`[data-panel=${name}][aria-pressed=true]`).waitFor();
    await look(name);
  }
  await rail('sql');
  await button('Heat map').tap();
  await phone.getByRole('region', { name: 'Heat map' }).waitFor();
  await look('heat map');
  await phone.getByRole('region', { name: 'Heat map' }).getByRole('button', { name: 'Close' }).tap();
  for (const name of ['Units and time zone', 'People and programs', 'Changes']) {
    await button('Account').tap();
    await phone.getByRole('menuitem', { name }).tap();
    const dialog = phone.locator('dialog[open]');
    await dialog.waitFor();
    await look(name);
    await phone.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  }
  expect(found).toEqual([]);
});

it('opens a vehicle on a phone: above its details, not under them', async () => {
  await takeUp();
  await rail('vehicles');
  const row = phone.locator('.vehicle-row:visible').first();
  const device = await row.getAttribute('data-device') ?? '';
  await row.tap();
  const card = phone.getByRole('complementary', { name: 'Vehicle details' });
  await card.getByText('Protocol').waitFor();
  expect(await phone.locator('.panel').isVisible()).toBe(false);
  await expect.poll(async () => {
    const place = await phone.evaluate((d) => window.waystream?.locate(d), device);
    const { x, y } = await phone.evaluate(([lat, lon]) => window.waystream?.pointOf(lat, lon) ?? { x: -1, y: -1 }, [place?.lat ?? 0, place?.lon ?? 0] as const);
    return x > 0 && x < WIDTH && y > 0 && y < ((await card.boundingBox())?.y ?? 0);
  }, { timeout: 30_000 }).toBe(true);
  expect(await sticksOut()).toEqual([]);
  await shot('vehicle');
  await card.getByRole('button', { name: 'Close' }).tap();
});

it('draws a geofence on a phone', async () => {
  await withoutFences('Phone yard');
  await takeUp();
  await rail('fences');
  // Nobody drives here.
  await phone.evaluate(() => window.waystream?.setView(48, 11, 14));
  await phone.locator('[data-draw=polygon]').tap();
  for (const [x, y] of [[150, 160], [320, 180], [300, 380], [150, 160]]) {
    await phone.touchscreen.tap(x, y);
    await phone.waitForTimeout(BETWEEN_TAPS_MS);
  }
  const form = phone.locator('.panel .form');
  await form.getByRole('textbox', { name: 'Name' }).fill('Phone yard');
  expect(await sticksOut()).toEqual([]);
  await shot('fence');
  await form.getByRole('button', { name: 'Save' }).tap();
  const item = phone.locator('[data-fence]').filter({ hasText: 'Phone yard' });
  await item.filter({ hasText: '3 corners' }).waitFor();
  const id = await item.getAttribute('data-fence') ?? '';
  const gone = await phone.request.delete(`${system.origin}/api/geofences/${encodeURIComponent(id)}`, { headers: { 'x-waystream': '1' } });
  expect(gone.status()).toBe(204);
  await item.waitFor({ state: 'detached' });
});

it('replays on a phone, with the controls in reach', async () => {
  await takeUp();
  await rail('replay');
  await expect.poll(() => phone.locator('.panel .form').getByLabel('To', { exact: true }).inputValue()).not.toBe('');
  await button('15 min').tap();
  await phone.locator('.panel .form').getByLabel('Vehicles').selectOption('all:');
  await button('Start replay').tap();
  await phone.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 50, null, { timeout: 60_000 });
  const dock = phone.getByRole('region', { name: 'Replay controls' });
  await dock.getByRole('button', { name: 'Pause' }).tap();
  await dock.getByRole('button', { name: 'Play' }).waitFor();
  expect(await sticksOut()).toEqual([]);
  await shot('replay');
  await dock.getByRole('button', { name: 'Close' }).tap();
  await phone.waitForFunction(() => window.waystream?.replay === null);
});
