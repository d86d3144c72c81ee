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

/** The simplest kind of picture that browsers read. */
export function bitmapOf([r, g, b]: number[], side: number): Buffer {
  const head = Buffer.alloc(54);
  head.write('BM');
  [54 + side * side * 4, 0, 54, 40, side, side].forEach((value, n) => head.writeUInt32LE(value, 2 + 4 * n));
  head.set([1, 0, 32, 0], 26);
  return Buffer.concat([head, ...Array<Buffer>(side * side).fill(Buffer.from([b, g, r, 255]))]);
}
