/** Signing in by an OpenID provider that is another site (localhost, not 127.0.0.1): a real browser decides what cookies go where. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FLAGS, SHOTS } from './browser';
import { CLIENT_SECRET, startProvider } from './provider';
import { System } from './system';

const LABEL = 'Sign in with Example';

let browser: Browser;
let system: System;
let provider: Awaited<ReturnType<typeof startProvider>> | undefined;

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  system = await System.create();
  provider = await startProvider(`${system.origin}/api/session/oidc/callback`);
  const settings = join(system.data, 'settings.toml');
  await writeFile(settings, [
    '[gateway.oidc]', `issuer = "${provider.issuer}"`, 'client_id = "waystream"', `client_secret = "${CLIENT_SECRET}"`,
    `public_url = "${system.origin}"`, `label = "${LABEL}"`, '',
  ].join('\n'));
  await system.start('run', '--config', settings);
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
  provider?.stop();
});

const newContext = (): Promise<BrowserContext> => browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });

/** From our page to the provider's, and back. */
async function signInAs(page: Page, name: string): Promise<void> {
  // The provider's page would wait for a font from elsewhere.
  await page.route(/fonts\.googleapis\.com/, (route) => route.abort());
  await page.goto(system.origin);
  await page.getByRole('link', { name: LABEL }).waitFor();
  await page.screenshot({ path: join(SHOTS, 'sign-in-by-provider.png') });
  await page.getByRole('link', { name: LABEL }).click();
  await page.locator('input[name=login]').fill(name);
  expect(new URL(page.url()).hostname).toBe('localhost');
  await page.locator('input[name=password]').fill('anything');
  await page.locator('button[type=submit]').click();
}

it('lets in whom the provider names, if an owner has invited them, and tells the others', async () => {
  const owner = await newContext();
  const first = await owner.newPage();
  await first.goto(await system.link());
  await first.getByRole('button', { name: 'Account' }).waitFor();
  const invited = await owner.request.post(`${system.origin}/api/users`, {
    headers: { 'x-waystream': '1' }, data: { id: 'anna@example.org', role: 'viewer' },
  });
  expect(invited.status()).toBe(201);

  const guest = await newContext();
  const hers = await guest.newPage();
  await signInAs(hers, 'anna@example.org');
  await hers.getByRole('button', { name: 'Account' }).click();
  await hers.getByText('anna@example.org (viewer)').waitFor();
  expect(await hers.getByRole('heading', { name: 'Choose a password' }).count()).toBe(0);
  const kept = await guest.cookies(system.origin);
  expect(kept.find(({ name }) => name === 'waystream_session')).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
  expect(kept.find(({ name }) => name === 'waystream_oidc')).toBeUndefined();

  const stranger = await (await newContext()).newPage();
  await signInAs(stranger, 'otto@example.org');
  await stranger.getByText('nobody has invited you here').waitFor();
  await stranger.getByRole('link', { name: 'Back to the sign-in page' }).click();
  await stranger.getByRole('heading', { name: 'Sign in' }).waitFor();
});
