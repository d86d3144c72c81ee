/** Dark, small, without sight, without WebSocket, without a server. */

import { expect, it } from 'vitest';
import { PAD } from '../../src/map/hold';
import { PANEL_NAMES } from '../../src/state';
import { seriousFindings, seriousInEachTheme } from '../axe';
import { proxyWithoutWebSocket } from '../proxy';
import { VEHICLES, ask, system, browser, page, complaints, shot, panel } from '../stage';

it('is usable in the dark and on a phone', async () => {
  await panel('vehicles');
  await page.getByRole('button', { name: 'Dark mode' }).click();
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await page.waitForFunction(() => (window.waystream?.inView ?? 0) > 100);
  await shot('8-dark');
  await page.getByRole('button', { name: 'Light mode' }).click();
  await page.setViewportSize({ width: 390, height: 780 });
  await page.waitForFunction((width) => document.querySelector<HTMLCanvasElement>('.vehicle-canvas')?.width === width, 390 + 2 * PAD);
  await shot('9-phone');
  await page.setViewportSize({ width: 1280, height: 800 });
});

it('can be used by everybody: no serious finding in any panel, light and dark', async () => {
  const findings: string[] = [];
  const look = async (where: string, colours: boolean): Promise<void> => {
    findings.push(...(await seriousFindings(page, 'html', colours)).map((finding) => `${where}: ${finding}`));
  };
  await panel('vehicles');
  await page.locator('.vehicle-row:visible').first().click();
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByText('Protocol').waitFor();
  for (const theme of ['light', 'dark']) {
    for (const name of PANEL_NAMES) {
      await panel(name);
      await look(`${name}, ${theme}`, theme === 'dark');
    }
    await page.getByRole('button', { name: /(Dark|Light) mode/ }).click();
  }
  expect(findings).toEqual([]);
});

/** Gathers what is found wherever it looks, light and dark. */
function looking(within?: string): { findings: string[]; look: (where: string) => Promise<void> } {
  const findings: string[] = [];
  return {
    findings,
    look: async (where) => {
      findings.push(...(await seriousInEachTheme(page, within)).map((finding) => `${where}: ${finding}`));
    },
  };
}

it('can be used by everybody: no serious finding in boxes over the map, editors and docks', async () => {
  const { findings, look } = looking();
  const details = page.getByRole('complementary', { name: 'Vehicle details' });
  const [[device]] = await ask('SELECT device FROM trips ORDER BY started_at LIMIT 1');
  await panel('vehicles');
  await page.locator('[data-search]').fill(String(device));
  await page.locator(`.vehicle-row[data-device="${String(device)}"]:visible`).click();
  await details.locator('[data-trip]').first().waitFor();
  await look('trips');
  await page.locator('[data-search]').fill('');
  await details.getByRole('button', { name: 'Close' }).click();

  await page.getByRole('button', { name: 'Heat map' }).click();
  const heat = page.getByRole('region', { name: 'Heat map' });
  await heat.getByText(/Reports a cell|No reports here/).waitFor();
  await page.getByRole('button', { name: 'Colour by speed' }).click();
  await page.getByRole('button', { name: 'Measure' }).click();
  await page.locator('.measure:visible').waitFor();
  await look('heat map, speeds, measuring');
  await page.keyboard.press('Escape');
  await page.locator('.measure').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Colour by speed' }).click();
  await heat.getByRole('button', { name: 'Close' }).click();

  await panel('fences');
  await page.locator('[data-draw=polygon]').click();
  await look('drawing');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Edit Test corridor' }).click();
  await page.locator('.panel .form').getByLabel('Speed limit').waitFor();
  await look('geofence editor');
  await page.locator('.panel .form').getByRole('button', { name: 'Cancel' }).click();

  await panel('alerts');
  await page.locator('.panel-body:visible [data-event]').first().getByRole('button', { name: 'Replay this moment' }).click();
  await page.waitForFunction(() => window.waystream?.replay?.count === 1, null, { timeout: 60_000 });
  await look('replay');
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
  await details.getByRole('button', { name: 'Close' }).click();
  expect(findings).toEqual([]);
});

it('can be used by everybody: no serious finding in any dialog', async () => {
  const { findings, look } = looking('dialog[open]');
  const dialog = page.locator('dialog[open]');
  const close = async (): Promise<void> => {
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  };
  await panel('vehicles');
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await look('shortcuts');
  await close();
  for (const name of ['Change password', 'Second factor', 'Units and time zone', 'Changes', 'People and programs']) {
    await page.getByRole('button', { name: 'Account' }).click();
    if (name === 'Change password') findings.push(...await seriousInEachTheme(page, '.bar'));
    await page.getByRole('menuitem', { name }).click();
    await dialog.waitFor();
    if (name === 'Changes') await dialog.locator('[data-change]').first().waitFor();
    await look(name);
    if (name !== 'People and programs') await close();
  }
  const shown = dialog.locator('.tab-page:visible');
  await shown.getByRole('button', { name: 'Invite somebody' }).click();
  await look('invitation');
  await dialog.locator('[data-tab=tokens]').click();
  await shown.getByRole('button', { name: 'New token' }).click();
  await look('token');
  await shown.getByLabel('Name', { exact: true }).fill('Looked at');
  await shown.getByRole('button', { name: 'Save' }).click();
  const secret = page.getByRole('dialog', { name: 'Shown once' });
  await secret.waitFor();
  await look('secret');
  await page.keyboard.press('Escape');
  await secret.waitFor({ state: 'detached' });
  page.once('dialog', (question) => void question.accept());
  await shown.getByRole('button', { name: 'Delete Looked at' }).click();
  await shown.getByRole('button', { name: 'Delete Looked at' }).waitFor({ state: 'detached' });
  await close();
  await page.getByRole('button', { name: 'Redeem a transfer code…' }).click();
  await dialog.waitFor();
  await look('transfers');
  await close();
  await panel('alerts');
  await page.getByRole('button', { name: 'Notifications…' }).click();
  for (const [tab, create] of [['rules', 'New rule'], ['channels', 'New channel'], ['reports', 'New report'], ['deliveries', null]] as const) {
    await dialog.locator(`[data-tab=${tab}]`).click();
    await look(tab);
    if (create === null) continue;
    await shown.getByRole('button', { name: create }).click();
    await look(create);
  }
  await close();
  await panel('vehicles');
  await page.locator('.vehicle-row:visible').first().click();
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByRole('button', { name: 'Share', exact: true }).click();
  await page.getByRole('dialog', { name: /^Share / }).getByText('None.').waitFor();
  await look('share');
  await close();
  expect(findings).toEqual([]);
});

it('can be used by everybody: no serious finding on a phone, nor where one signs in', async () => {
  const { findings, look } = looking();
  await page.setViewportSize({ width: 390, height: 780 });
  for (const name of PANEL_NAMES) {
    await panel(name);
    await look(`${name} on a phone`);
  }
  await panel('vehicles');
  await page.locator('.vehicle-row:visible').first().click();
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByText('Protocol').waitFor();
  await look('details on a phone');
  await page.setViewportSize({ width: 1280, height: 800 });
  for (const width of [1280, 390]) {
    const stranger = await browser.newContext({ viewport: { width, height: 780 } });
    const theirs = await stranger.newPage();
    await theirs.goto(system.origin);
    await theirs.getByRole('heading', { name: 'Sign in' }).waitFor();
    findings.push(...await seriousInEachTheme(theirs));
    await stranger.close();
  }
  expect(findings).toEqual([]);
});

it('is live through a proxy that lets no WebSocket pass', async () => {
  const proxy = await proxyWithoutWebSocket(system.origin);
  const context = await browser.newContext();
  await context.addCookies((await page.context().cookies()).map((cookie) => ({ ...cookie, secure: false })));
  const other = await context.newPage();
  await other.goto(proxy.origin);
  await other.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES, { timeout: 60_000 });
  const frames = await other.evaluate(() => window.waystream?.stats?.frames ?? 0);
  await other.waitForFunction((n) => (window.waystream?.stats?.frames ?? 0) > n + 5, frames, { timeout: 60_000 });
  await context.close();
  proxy.close();
});

it('goes on by itself after the server was restarted, with a replay where it was', async () => {
  await panel('replay');
  await page.locator('.panel .form').getByLabel('Vehicles').selectOption('all:');
  await page.locator('.panel .form').getByRole('button', { name: '15 min' }).click();
  await page.locator('.panel .form').getByLabel('Speed').selectOption('1');
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => window.waystream?.replay?.playing === true && window.waystream.replay.count > 50, null, { timeout: 60_000 });
  await system.stop();
  await page.waitForFunction(() => window.waystream?.stats?.link === 'lost', null, { timeout: 30_000 });
  await page.getByRole('status').filter({ hasText: /^Connection lost\. What you see is \d+ (s|min) old/ }).waitFor();
  // Opened without a server, the page is there and says what is the matter.
  const other = await page.context().newPage();
  await other.goto(system.origin);
  await other.getByRole('alert').filter({ hasText: 'can’t be reached' }).waitFor();
  await other.close();
  await system.start('run');
  await page.waitForFunction(() => window.waystream?.stats?.link === 'online', null, { timeout: 60_000 });
  await page.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES);
  const { at, from } = await page.evaluate(() => window.waystream?.replay ?? { at: 0, from: 0 });
  expect(at).toBeGreaterThan(from);
  await page.waitForFunction((t) => window.waystream?.replay?.playing === true && window.waystream.replay.count > 50 && window.waystream.replay.at > t, at, { timeout: 60_000 });
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
});

it('complained about nothing', () => {
  expect(complaints).toEqual([]);
});
