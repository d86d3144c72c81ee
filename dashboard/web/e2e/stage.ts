/** What all cases stand on: one system, whose memory goes from case to case, and one browser, whose page each case finds as if it had just been opened. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { GeofenceCollection, SqlAnswer } from '../src/wire/types';
import { FLAGS, PASSWORD, SHOTS } from './browser';
import { Mail } from './mail';
import { System } from './system';

export { PASSWORD };

export const FENCE = 'Test yard';
export const VEHICLES = 400;
const SIZE = { width: 1280, height: 800 };
const HEADERS = { 'x-waystream': '1' };

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
/** The first row of the list, sorted by speed: somebody who drives. */
export const fastest = async (): Promise<Locator> => {
  await panel('vehicles');
  await page.locator('.panel-body:visible').getByLabel('Sort by').selectOption('speed');
  const row = page.locator('.vehicle-row:visible').first();
  await row.locator('.row-speed').filter({ hasText: /^([2-9]\d|1\d\d) km\/h$/ }).waitFor();
  return row;
};
/** What an attempt before has made and could not tidy away would be there twice. */
export const withoutFences = async (...names: string[]): Promise<void> => {
  const { features } = await (await page.request.get(`${system.origin}/api/geofences`)).json() as GeofenceCollection;
  const those = features.filter(({ properties: { name } }) => names.includes(name));
  for (const { properties: { id } } of those) await page.request.delete(`${system.origin}/api/geofences/${encodeURIComponent(id)}`, { headers: HEADERS });
  await page.waitForFunction((n) => window.waystream?.fences === n, features.length - those.length);
};
/** Rows of an answer to SQL. */
export const ask = async (query: string): Promise<unknown[][]> => {
  const answer = await page.request.post(`${system.origin}/api/sql`, { headers: HEADERS, data: { query, format: 'json' } });
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
  const context = await browser.newContext({ viewport: SIZE, colorScheme: 'light' });
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

/** Also of the second attempt at one. A case that failed took the next with it, as its dialog was still open, or its replay, or its other pages. */
beforeEach(async () => {
  // Questions that were to be answered, and have not come.
  page.removeAllListeners('dialog');
  for (const context of browser.contexts()) if (context !== page.context()) await context.close();
  for (const other of page.context().pages()) if (other !== page) await other.close();
  await page.setViewportSize(SIZE);
  await page.emulateMedia({ reducedMotion: null });
  if (!system.isRunning) await system.start('run');
  const isSignedIn = (await page.context().cookies()).some(({ name }) => name.endsWith('waystream_session'));
  if (!isSignedIn) return;
  // Choices are this browser's, unless they are the user's.
  if (page.url().startsWith(system.origin)) await page.evaluate(() => localStorage.clear());
  await page.goto(system.origin);
  await vehiclesShown();
});

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await shot('failed');
});
