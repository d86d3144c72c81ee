/** What all cases stand on: one system and one browser, in whose page one case begins where the last ended. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { SqlAnswer } from '../src/wire/types';
import { FLAGS, PASSWORD, SHOTS } from './browser';
import { Mail } from './mail';
import { System } from './system';

export { PASSWORD };

export const FENCE = 'Test yard';
export const VEHICLES = 400;

export let mail: Mail;
export let system: System;
export let browser: Browser;
export let page: Page;
/** What the page complained about; failures to reach map tiles don't count. */
export const complaints: string[] = [];

export const shot = (name: string): Promise<Buffer> => page.screenshot({ path: join(SHOTS, `${name}.png`) });
export const panel = async (name: string): Promise<void> => {
  const button = page.locator(`[data-panel=${name}]`);
  if (await button.getAttribute('aria-pressed') !== 'true') await button.click();
};
export const vehiclesShown = (): Promise<unknown> =>
  page.waitForFunction(() => (window.waystream?.stats?.count ?? 0) > 0 && (window.waystream?.inView ?? 0) > 0, null, { timeout: 60_000 });
export const locate = async (device: string): Promise<{ lat: number; lon: number; fixTime: number }> => {
  const place = await page.evaluate((d) => window.waystream?.locate(d), device);
  if (!place) throw new Error(`${device} is not on the map`);
  return place;
};
/** Whether the place that is looked at is in the middle of the map. */
export const dotIsCentral = (): Promise<boolean> => page.evaluate(() => {
  const [map, dot] = ['.map', '.place-dot'].map((name) => document.querySelector(name)?.getBoundingClientRect());
  return map !== undefined && dot !== undefined && Math.hypot(dot.x + dot.width / 2 - map.x - map.width / 2, dot.y + dot.height / 2 - map.y - map.height / 2) < 20;
});
/** Rows of an answer to SQL. */
export const ask = async (query: string): Promise<unknown[][]> => {
  const answer = await page.request.post(`${system.origin}/api/sql`, { headers: { 'x-waystream': '1' }, data: { query, format: 'json' } });
  return ((await answer.json()) as SqlAnswer).rows;
};
/** A number that is another if any pixel is another. */
export const mapPixels = (of = '.vehicle-canvas'): Promise<number> => page.evaluate((selector) => {
  const canvas = document.querySelector<HTMLCanvasElement>(selector);
  if (!canvas) return 0;
  // It shows finished pictures: only a copy can be read.
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  copy?.drawImage(canvas, 0, 0);
  const pixels = copy?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
  let sum = 0;
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] !== 0) sum = (Math.imul(sum, 31) + i + pixels[i]) | 0;
  return sum;
}, of);

beforeAll(async () => {
  await mkdir(SHOTS, { recursive: true });
  mail = await Mail.start();
  system = await System.create(mail.settings);
  await system.start('demo', '--vehicles', String(VEHICLES), '--history', '20');
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
  page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
  await mail?.stop();
});

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await shot('failed');
});
