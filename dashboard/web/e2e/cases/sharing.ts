/** One vehicle, shown for a while to somebody who has no account. */

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { seriousFindings } from '../axe';
import { SHOTS } from '../browser';
import { browser, fastest, page, system } from '../stage';

it('shares one vehicle by a link, which shows that one alone until it is ended', async () => {
  const row = await fastest();
  const device = await row.getAttribute('data-device') ?? '';
  await row.click();
  const details = page.getByRole('complementary', { name: 'Vehicle details' });
  await details.getByText('Protocol').waitFor();
  await details.getByRole('button', { name: 'Share', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: /^Share / });
  await dialog.getByText('None.').waitFor();
  await dialog.locator('select').selectOption('1');
  await dialog.getByLabel('Shown as').fill('Order 17');
  await dialog.getByRole('button', { name: 'Make a link' }).click();
  const once = page.getByLabel('Link to Order 17', { exact: true });
  const address = await once.inputValue();
  expect(address.startsWith(`${system.origin}/share#wshare_`)).toBe(true);
  await once.locator('xpath=ancestor::dialog').getByRole('button', { name: 'Close' }).click();
  await dialog.locator('.list-item').filter({ hasText: 'made by admin' }).waitFor();

  const guest = await browser.newContext({ viewport: { width: 900, height: 600 } });
  const theirs = await guest.newPage();
  const asked = new Set<string>();
  const complaints: string[] = [];
  theirs.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  theirs.on('request', (request) => {
    const { origin, pathname } = new URL(request.url());
    if (origin === system.origin && pathname.startsWith('/api/')) asked.add(pathname);
  });
  await theirs.goto(address);
  const card = theirs.getByRole('complementary', { name: 'Shared vehicle' });
  await card.getByText('Order 17').waitFor();
  await card.getByText('Live', { exact: true }).waitFor();
  await theirs.locator('.shared-vehicle svg').waitFor();
  expect(await card.innerText()).not.toContain('not reported yet');
  expect([...asked].sort()).toEqual(['/api/config', '/api/share', '/api/share/trail']);
  expect(device).not.toBe('');
  expect(await theirs.content()).not.toContain(device);
  expect((await guest.cookies()).length).toBe(0);
  expect((await guest.request.get(`${system.origin}/api/devices`)).status()).toBe(401);
  await theirs.screenshot({ path: join(SHOTS, '16-shared.png') });
  expect(await seriousFindings(theirs)).toEqual([]);

  await dialog.getByRole('button', { name: 'End the link to Order 17' }).click();
  await theirs.getByRole('heading', { name: 'This link has ended.' }).waitFor();
  // Nor is there another way in.
  await theirs.goto(`${system.origin}/share`);
  await theirs.getByRole('heading', { name: 'This link has ended.' }).waitFor();
  expect(complaints).toEqual([]);
  await guest.close();
  await dialog.getByText('None.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await details.getByRole('button', { name: 'Close' }).click();
});
