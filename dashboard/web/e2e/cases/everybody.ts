/** Dark, small, without sight, without WebSocket, without a server. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { proxyWithoutWebSocket } from '../proxy';
import { VEHICLES, type Finding, system, browser, page, complaints, shot, panel } from '../stage';

it('is usable in the dark and on a phone', async () => {
  await panel('vehicles');
  await page.getByRole('button', { name: 'Dark mode' }).click();
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await page.waitForFunction(() => (window.waystream?.inView ?? 0) > 100);
  await shot('8-dark');
  await page.getByRole('button', { name: 'Light mode' }).click();
  await page.setViewportSize({ width: 390, height: 780 });
  await page.waitForFunction(() => document.querySelector<HTMLCanvasElement>('.vehicle-canvas')?.width === 390 + 128);
  await shot('9-phone');
  await page.setViewportSize({ width: 1280, height: 800 });
});

it('can be used by everybody: no serious finding in any panel, light and dark', async () => {
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const findings: string[] = [];
  const look = async (where: string): Promise<void> => {
    const found = await page.evaluate(async () => {
      const { violations } = await (window as unknown as { axe: { run: () => Promise<{ violations: Finding[] }> } }).axe.run();
      return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
    });
    findings.push(...found.map((finding) => `${where}: ${finding}`));
  };
  await panel('vehicles');
  await page.locator('.vehicle-row:visible').first().click();
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByText('Protocol').waitFor();
  for (const theme of ['light', 'dark']) {
    for (const name of ['vehicles', 'fences', 'alerts', 'replay', 'trips', 'sql']) {
      await panel(name);
      await look(`${name}, ${theme}`);
    }
    await page.getByRole('button', { name: /(Dark|Light) mode/ }).click();
  }
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Changes' }).click();
  await page.locator('dialog [data-change]').first().waitFor();
  await look('changes');
  await page.getByRole('dialog', { name: 'Changes' }).getByRole('button', { name: 'Close' }).click();
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
  await page.getByRole('status').filter({ hasText: 'Connection lost' }).waitFor();
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
