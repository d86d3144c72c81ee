/** What every browser of these tests needs. */

import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { System } from './system';

export const SHOTS = join(import.meta.dirname, '../test-results');
export const PASSWORD = 'correct horse battery staple';
/** Of Chromium. */
export const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
  '--disable-quic',
];

/** Signs in by the link that the system has printed, and chooses the password. */
export async function enter(page: Page, system: System): Promise<void> {
  await page.goto(await system.link());
  await page.locator('dialog input[type=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('dialog').waitFor({ state: 'detached' });
}
