/** Signing in, and the vehicles that one sees then. */

import { expect, it } from 'vitest';
import { PASSWORD, VEHICLES, system, page, shot, vehiclesShown, locate, mapPixels, fastest } from '../stage';

it('lets nobody in without a session', async () => {
  expect((await fetch(`${system.origin}/api/devices`)).status).toBe(401);
  await page.goto(system.origin);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.locator('input[name=username]').fill('admin');
  await page.locator('input[name=password]').fill('a wrong password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').filter({ hasText: 'wrong' }).waitFor();
  await shot('1-sign-in');
});

/** What this browser keeps of us. */
const kept = (): Promise<{ workers: number; caches: string[]; urls: string[]; choices: string[] }> => page.evaluate(async () => {
  const names = await caches.keys();
  const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
  return {
    workers: (await navigator.serviceWorker.getRegistrations()).length, caches: names, urls: requests.flat().map(({ url }) => new URL(url).pathname),
    choices: Object.keys(localStorage),
  };
});

it('signs in by the one-time link and asks for a password, which then signs in too', async () => {
  await page.goto(await system.link());
  await page.getByRole('heading', { name: 'Choose a password' }).waitFor();
  await page.locator('dialog input[type=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  // The page's own files are kept, and nothing that the server told.
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  const installed = await kept();
  expect(installed).toMatchObject({ workers: 1, caches: [expect.stringMatching(/^waystream-shell-[0-9a-f]{16}$/)] });
  expect(installed.urls).toEqual(expect.arrayContaining(['/', '/manifest.webmanifest', '/icons/512.png', expect.stringMatching(/^\/assets\/worker-/)]));
  expect(installed.urls.filter((path) => !/^\/($|assets\/|icons\/|favicon|manifest)/.test(path))).toEqual([]);
  const browserSays = await page.context().newCDPSession(page);
  // Only that this test's browser keeps nothing stands in the way.
  expect((await browserSays.send('Page.getInstallabilityErrors')).installabilityErrors.map((e) => e.errorId)).toEqual(['in-incognito']);
  expect((await browserSays.send('Page.getAppManifest')).errors).toEqual([]);
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.locator('input[name=username]').waitFor();
  expect(await kept()).toEqual({ workers: 0, caches: [], urls: [], choices: [] });
  expect(new URL(page.url()).hash).toBe('');
  await page.locator('input[name=username]').fill('admin');
  await page.locator('input[name=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await vehiclesShown();
});

it('asks for the present password before another one is chosen', async () => {
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Change password' }).click();
  await page.locator('dialog input[type=password]').fill(PASSWORD);
  const save = page.getByRole('button', { name: 'Save' });
  await save.click();
  await page.getByLabel('Present password').fill('not the present one');
  await save.click();
  await page.getByText('present: the password is wrong').waitFor();
  await page.getByLabel('Present password').fill(PASSWORD);
  await save.click();
  await page.locator('dialog').waitFor({ state: 'detached' });
});

it('shows vehicles that move', async () => {
  await page.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES);
  const row = await fastest();
  const device = await row.getAttribute('data-device') ?? '';
  const before = await locate(device);
  const pixels = await mapPixels();
  await page.waitForFunction(async ([d, lat, lon]) => {
    const now = await window.waystream?.locate(d as string);
    return now && (now.lat !== lat || now.lon !== lon);
  }, [device, before.lat, before.lon] as const, { timeout: 60_000 });
  await expect.poll(mapPixels, { timeout: 30_000 }).not.toBe(pixels);
  const stats = await page.evaluate(() => window.waystream?.stats);
  expect(stats).toMatchObject({ link: 'online', badFrames: 0, refused: 0 });
  expect(stats?.looks.reduce((sum, n) => sum + n, 0)).toBe(stats?.count);
  await shot('2-live');
});

it('tells all about a vehicle', async () => {
  await (await fastest()).click();
  const card = page.getByRole('complementary', { name: 'Vehicle details' });
  await card.getByText('Protocol').waitFor();
  await card.locator('.attributes dt').first().waitFor();
  await card.locator('.chart-plot .u-over').waitFor();
  // The address follows the map once it has flown there.
  await page.waitForURL(/#15\//);
  await shot('3-details');
});
