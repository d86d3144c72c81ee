/** A tab that stands still for longer than the server waits for it, and comes back: real binary, real browser. */

import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EventsAnswer } from '../src/wire/types';
import { FLAGS, enter } from './browser';
import { System } from './system';

const VEHICLES = 400;
/** The server waits for an answer to its pings for some 20 s, and for acknowledgements of frames for 30 s. */
const CUT_MS = 90_000;

let system: System;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  system = await System.create();
  await system.start('demo', '--vehicles', String(VEHICLES), '--history', '1');
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await enter(page, system);
  await page.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES, { timeout: 60_000 });
  await page.locator('[data-panel=alerts]').click();
});

afterAll(async () => {
  await browser?.close();
  await system?.destroy();
});

/** Sockets that the server tells of vehicles. */
async function watching(): Promise<number> {
  const metrics = await (await fetch(`${system.origin}/metrics`)).text();
  return Number(/^waystream_gateway_sockets (\d+)/m.exec(metrics)?.[1] ?? -1);
}

/** The page is asked from outside: one that was hidden may draw no frames by which it could be waited for, and lists nothing. */
const stats = (): Promise<{ link: string; count: number; badFrames: number; drawn: number }> => page.evaluate(() => {
  const { stats, frames } = window.waystream ?? { stats: null, frames: 0 };
  return { link: stats?.link ?? '', count: stats?.count ?? 0, badFrames: stats?.badFrames ?? -1, drawn: frames };
});

it('is fresh, and has the alerts that it missed, after its process was stopped', async () => {
  const { processInfo } = await (await browser.newBrowserCDPSession()).send('SystemInfo.getProcessInfo');
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  expect(renderers).not.toEqual([]);
  const signal = (name: NodeJS.Signals): void => renderers.forEach((pid) => process.kill(pid, name));
  const { drawn } = await stats();
  const { request } = page.context();
  const devices = (await (await request.get(`${system.origin}/api/devices`)).json() as { id: string }[]).map(({ id }) => id).slice(0, 50);
  const newestFix = (): Promise<number> => page.evaluate(async (all) => {
    const rows = await Promise.all(all.map((device) => window.waystream?.locate(device)));
    return Math.max(...rows.map((row) => row?.fixTime ?? 0));
  }, devices);
  expect(await newestFix()).toBeGreaterThan(0);
  expect(await watching()).toBe(1);
  const since = Date.now();
  signal('SIGSTOP');
  let missed: string[] = [];
  let back = 0;
  try {
    await expect.poll(watching, { timeout: CUT_MS, interval: 500 }).toBe(0);
    // They happened while nobody could be told.
    await expect.poll(async () => {
      const { events } = await (await request.get(`${system.origin}/api/events`, { params: { from: since, kind: 'enter,exit', limit: 50 } })).json() as EventsAnswer;
      missed = events.filter((event) => !event.retracted).map((event) => event.event_id);
      return missed.length;
    }, { timeout: 60_000, interval: 500 }).toBeGreaterThan(0);
    back = Date.now();
  } finally {
    signal('SIGCONT');
  }
  await expect.poll(async () => (await stats()).link, { timeout: 30_000 }).toBe('online');
  await expect.poll(() => page.evaluate((ids) => ids.every((id) => window.waystream?.hasAlert(id)), missed), { timeout: 30_000 }).toBe(true);
  await expect.poll(newestFix, { timeout: 60_000 }).toBeGreaterThan(back);
  expect(await stats()).toMatchObject({ link: 'online', count: VEHICLES, badFrames: 0 });
  expect(await watching()).toBe(1);
  await expect.poll(async () => (await stats()).drawn, { timeout: 30_000 }).toBeGreaterThan(drawn + 5);
  await page.locator('[data-event]').first().waitFor();
});
