/** Who changed what, as owners see it. */

import { it } from 'vitest';
import { page, shot } from '../stage';

it('tells owners who changed what', async () => {
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Changes' }).click();
  const dialog = page.getByRole('dialog', { name: 'Changes' });
  const change = (kind: string, words: string): Promise<void> => dialog.locator(`[data-change=${kind}]`).filter({ hasText: words }).first().waitFor();
  await change('removed', 'admin removed notification rule Test yard only');
  await dialog.getByLabel('Kind').selectOption('channel');
  await change('put', 'admin added channel Dispatch');
  await dialog.getByText('secret: hidden').first().waitFor();
  await shot('14-changes');
  await dialog.getByLabel('Kind').selectOption('user');
  await dialog.getByLabel('User').fill('admin');
  await dialog.getByLabel('User').press('Enter');
  await change('password_changed', 'admin changed the password of user admin');
  await change('sign_in_failed', 'A sign-in as admin failed');
  await dialog.getByLabel('User').fill('nobody at all');
  await dialog.getByLabel('User').press('Enter');
  await dialog.getByText('No change matches.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
});
