/** What lies under the vehicles: tiles of a server, whose they are, and what is there without them. Real binary, real browser. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FLAGS, bitmapOf, enter } from './browser';
import { System } from './system';

/** The server that is asked unless another one is set; nothing of these tests gets to it. */
const USUAL = 'https://tile.openstreetmap.org/**';
const TILE = { contentType: 'image/bmp', body: bitmapOf([200, 30, 40], 256) };
/** How long the page waits before it asks again. */
const RETRY = '01:05';

let browser: Browser;

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
});

afterAll(async () => {
  await browser?.close();
});

/** Runs a system with settings, and a page that nobody has opened yet. */
async function over(settings: NodeJS.ProcessEnv, test: (page: Page, system: System) => Promise<void>): Promise<void> {
  const system = await System.create(settings);
  try {
    await system.start('demo', '--vehicles', '20', '--history', '1');
    // What a service worker fetches, no test would see.
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', serviceWorkers: 'block' });
    await test(await context.newPage(), system);
    await context.close();
  } finally {
    await system.destroy();
  }
}

const loaded = (page: Page): Promise<number> => page.locator('.raster-tiles img.leaflet-tile-loaded').evaluateAll((images) =>
  // What stands for a tile that failed is one pixel.
  (images as HTMLImageElement[]).filter(({ naturalWidth }) => naturalWidth === 256).length);
const attribution = (page: Page): Promise<string> => page.locator('.leaflet-control-attribution').innerText();
const setView = (page: Page, zoom: number): Promise<void> => page.evaluate((z) => window.waystream?.setView(48, 11, z), zoom);

/** Whether coastlines are drawn: there is sea, and there is land. */
const hasEarth = (page: Page): Promise<boolean> => page.evaluate(() => {
  const seen = new Set<string>();
  for (const tile of document.querySelectorAll<HTMLCanvasElement>('canvas.earth-tile')) {
    // It shows finished pictures: only a copy can be read.
    const copy = new OffscreenCanvas(tile.width, tile.height).getContext('2d');
    copy?.drawImage(tile, 0, 0);
    const { data } = copy?.getImageData(0, 0, tile.width, tile.height) ?? { data: [] };
    for (let i = 0; i < data.length; i += 4 * 61) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
  }
  return seen.has('213,227,236') && seen.has('243,241,234');
});

it('shows OpenStreetMap unless told otherwise, says whose it is, and does without it until it is there again', async () => {
  await over({}, async (page, system) => {
    let asked: string[] = [];
    let there = true;
    await page.clock.install();
    await page.route(USUAL, (route) => {
      asked.push(route.request().url());
      return there ? route.fulfill(TILE) : route.abort();
    });
    await enter(page, system);
    await page.waitForFunction(() => window.waystream?.setView !== undefined);
    await expect.poll(() => loaded(page), { timeout: 30_000 }).toBeGreaterThan(3);
    for (const url of asked) expect(url).toMatch(/^https:\/\/tile\.openstreetmap\.org\/\d+\/\d+\/\d+\.png$/);
    expect(await attribution(page)).toMatch(/Natural Earth.*© OpenStreetMap contributors/s);
    expect(await page.locator('.leaflet-control-attribution a[href="https://www.openstreetmap.org/copyright"]').isVisible()).toBe(true);
    const note = page.locator('.map-note', { hasText: 'Map tiles can’t be loaded' });
    expect(await note.isVisible()).toBe(false);
    await page.getByRole('button', { name: 'Dark mode' }).click();
    await expect.poll(() => page.locator('.raster-tiles canvas.leaflet-tile-loaded').count(), { timeout: 30_000 }).toBeGreaterThan(3);
    await page.getByRole('button', { name: 'Light mode' }).click();
    await expect.poll(() => loaded(page), { timeout: 30_000 }).toBeGreaterThan(3);

    there = false;
    await setView(page, 4);
    await note.waitFor();
    await expect.poll(() => hasEarth(page), { timeout: 30_000 }).toBe(true);
    expect(await page.locator('.raster-tiles').count()).toBe(0);
    expect(await attribution(page)).not.toContain('OpenStreetMap');
    // Nobody is asked in vain again and again.
    asked = [];
    await setView(page, 5);
    await expect.poll(() => hasEarth(page), { timeout: 30_000 }).toBe(true);
    expect(asked).toEqual([]);

    there = true;
    await page.clock.fastForward(RETRY);
    await expect.poll(() => loaded(page), { timeout: 30_000 }).toBeGreaterThan(3);
    expect(await attribution(page)).toContain('OpenStreetMap');
    await note.waitFor({ state: 'hidden' });
  });
});

it('shows the tiles of any other server, enlarged where it has none', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(200, { 'content-type': TILE.contentType }).end(TILE.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  await over({
    WAYSTREAM_GATEWAY__TILES_URL: `http://127.0.0.1:${address.port}/maps/{z}/{y}/{x}`, WAYSTREAM_GATEWAY__TILES_ATTRIBUTION: '© Somebody else', WAYSTREAM_GATEWAY__TILES_MAX_ZOOM: '5',
  }, async (page, system) => {
    await enter(page, system);
    await page.waitForFunction(() => window.waystream?.setView !== undefined);
    await setView(page, 7);
    // 256 px of zoom 5 are 1024 px of zoom 7.
    await expect.poll(() => loaded(page), { timeout: 30_000 }).toBeGreaterThan(0);
    await expect.poll(() => asked.some((path) => path.startsWith('/maps/5/')), { timeout: 30_000 }).toBe(true);
    for (const path of asked) expect(path).toMatch(/^\/maps\/[0-5]\/\d+\/\d+$/);
    expect(await attribution(page)).toContain('© Somebody else');
    expect(await attribution(page)).not.toContain('OpenStreetMap');
  });
  server.closeAllConnections();
  server.close();
});

it('fetches nothing from elsewhere where no tiles are set', async () => {
  await over({ WAYSTREAM_GATEWAY__TILES_URL: '""' }, async (page, system) => {
    const elsewhere: string[] = [];
    page.on('request', (request) => {
      if (/^https?:/.test(request.url()) && new URL(request.url()).origin !== system.origin) elsewhere.push(request.url());
    });
    await enter(page, system);
    await page.waitForFunction(() => (window.waystream?.stats?.count ?? 0) > 0, null, { timeout: 60_000 });
    await setView(page, 4);
    await expect.poll(() => hasEarth(page), { timeout: 30_000 }).toBe(true);
    expect(await attribution(page)).toContain('Natural Earth');
    expect(await page.locator('.map-note', { hasText: 'Map tiles can’t be loaded' }).isVisible()).toBe(false);
    expect(elsewhere).toEqual([]);
  });
});
