/** Letting others in: people by a link, programs by a token. */

import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { browser, page, shot, system } from '../stage';
import { shown as shownByAuthenticator } from '../totp';

const account = async (item: string): Promise<void> => {
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: item }).click();
};

/** Turns the second factor on, and comes in again with a recovery code. */
async function askForCodes(hers: Page): Promise<void> {
  await hers.getByRole('menuitem', { name: 'Second factor' }).click();
  await hers.getByRole('img', { name: 'Secret for an authenticator' }).waitFor();
  const dialog = hers.getByRole('dialog', { name: 'Second factor' });
  await dialog.getByLabel('Code').fill(shownByAuthenticator(await dialog.getByLabel('Secret', { exact: true }).inputValue()));
  await dialog.getByRole('button', { name: 'Ask for codes from now on' }).click();
  const once = hers.getByLabel('Recovery codes', { exact: true });
  const codes = (await once.inputValue()).split(' ');
  expect(codes).toHaveLength(8);
  await once.locator('xpath=ancestor::dialog').getByRole('button', { name: 'Close' }).click();
  await hers.getByRole('button', { name: 'Account' }).click();
  await hers.getByRole('menuitem', { name: 'Sign out' }).click();
  await hers.locator('input[name=username]').fill('anna');
  await hers.locator('input[name=password]').fill('a password of her own');
  await hers.getByRole('button', { name: 'Sign in' }).click();
  await hers.locator('input[name=code]').fill('000000');
  await hers.getByRole('button', { name: 'Sign in' }).click();
  await hers.getByRole('alert').filter({ hasText: 'code is wrong' }).waitFor();
  await hers.locator('input[name=code]').fill(codes[0]);
  await hers.getByRole('button', { name: 'Sign in' }).click();
  await hers.waitForFunction(() => (window.waystream?.stats?.count ?? 0) > 0, null, { timeout: 60_000 });
}

it('invites somebody, who signs in by the link and may look', async () => {
  // As an attempt before may have invited her.
  await page.request.delete(`${system.origin}/api/users/anna`, { headers: { 'x-waystream': '1' } });
  await account('People and programs');
  const dialog = page.getByRole('dialog', { name: 'People and programs' });
  const shown = dialog.locator('.tab-page:visible');
  await shown.getByRole('button', { name: 'Invite somebody' }).click();
  await shown.getByLabel('Sign-in name').fill('anna');
  await shown.getByRole('button', { name: 'Save' }).click();
  const link = page.getByLabel('Sign-in link for anna', { exact: true });
  const address = await link.inputValue();
  expect(address.startsWith(`${system.origin}/sign-in?token=`)).toBe(true);
  await link.locator('xpath=ancestor::dialog').getByRole('button', { name: 'Close' }).click();
  await shown.locator('[data-item=anna]').filter({ hasText: 'has not chosen a password' }).waitFor();
  await shot('15-people');

  const guest = await browser.newContext();
  const hers = await guest.newPage();
  await hers.goto(address);
  await hers.getByRole('heading', { name: 'Choose a password' }).waitFor();
  await hers.locator('dialog input[type=password]').fill('a password of her own');
  await hers.getByRole('button', { name: 'Save' }).click();
  await hers.waitForFunction(() => (window.waystream?.stats?.count ?? 0) > 0, null, { timeout: 60_000 });
  // Who looks is offered nothing that would be refused.
  await hers.locator('.vehicle-row:visible').first().click();
  const card = hers.getByRole('complementary', { name: 'Vehicle details' });
  await card.getByText('Protocol').waitFor();
  expect(await card.getByRole('button', { name: /Rename|Share|Hand over|Send a command/ }).count()).toBe(0);
  await hers.locator('[data-panel=fences]').click();
  await hers.getByRole('button', { name: 'Export GeoJSON' }).waitFor();
  expect(await hers.getByRole('button', { name: 'Import', exact: true }).count()).toBe(0);
  await hers.getByRole('button', { name: 'Account' }).click();
  await hers.getByText('anna (viewer)').waitFor();
  await askForCodes(hers);
  expect((await guest.request.get(`${system.origin}/api/users`)).status()).toBe(403);

  // Let go, she is out at once.
  page.once('dialog', (question) => void question.accept());
  await shown.getByRole('button', { name: 'Delete anna' }).click();
  await shown.locator('[data-item=anna]').waitFor({ state: 'detached' });
  await hers.locator('input[name=username]').waitFor();
  await guest.close();
});

it('says what happens to devices that nobody has entered', async () => {
  await account('People and programs');
  const dialog = page.getByRole('dialog', { name: 'People and programs' });
  await dialog.locator('[data-tab=devices]').click();
  const policy = dialog.getByLabel('A device that nobody has entered');
  const kept = async (): Promise<unknown> => (await page.request.get(`${system.origin}/api/unknown-device-policy`)).json();
  for (const chosen of ['tray', '']) {
    await policy.selectOption(chosen);
    await expect.poll(kept).toEqual({ policy: chosen === '' ? null : chosen });
  }
});

it('makes a token that a program can use until it is deleted', async () => {
  await account('People and programs');
  const dialog = page.getByRole('dialog', { name: 'People and programs' });
  await dialog.locator('[data-tab=tokens]').click();
  const shown = dialog.locator('.tab-page:visible');
  await shown.getByRole('button', { name: 'New token' }).click();
  await shown.getByLabel('Name', { exact: true }).fill('Report');
  await shown.getByLabel('Valid for so many days').fill('30');
  await shown.getByRole('button', { name: 'Save' }).click();
  const secret = page.getByLabel('Token for Report', { exact: true });
  const headers = { authorization: `Bearer ${await secret.inputValue()}` };
  await secret.locator('xpath=ancestor::dialog').getByRole('button', { name: 'Close' }).click();
  expect((await fetch(`${system.origin}/api/fleets`, { headers })).status).toBe(200);
  page.once('dialog', (question) => void question.accept());
  await shown.getByRole('button', { name: 'Delete Report' }).click();
  await expect.poll(async () => (await fetch(`${system.origin}/api/fleets`, { headers })).status).toBe(401);
  await dialog.getByRole('button', { name: 'Close' }).click();
  await dialog.waitFor({ state: 'detached' });
});
