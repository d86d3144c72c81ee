/** The whole system as a person uses it: real binary, real browser, simulated trackers on real sockets. */

import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { GeofenceFeature } from '../src/wire/types';
import { proxyWithoutWebSocket } from './proxy';
import { System } from './system';

const SHOTS = join(import.meta.dirname, '../test-results');
const PASSWORD = 'correct horse battery staple';
const FENCE = 'Test yard';
const VEHICLES = 400;
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
  '--disable-quic',
];

interface Finding { id: string; impact: string; nodes: { html: string }[] }

let system: System;
let browser: Browser;
let page: Page;
/** What the page complained about; failures to reach map tiles don't count. */
const complaints: string[] = [];

const shot = (name: string): Promise<Buffer> => page.screenshot({ path: join(SHOTS, `${name}.png`) });
const panel = async (name: string): Promise<void> => {
  const button = page.locator(`[data-panel=${name}]`);
  if (await button.getAttribute('aria-pressed') !== 'true') await button.click();
};
const vehiclesShown = (): Promise<unknown> =>
  page.waitForFunction(() => (window.waystream?.stats?.count ?? 0) > 0 && (window.waystream?.inView ?? 0) > 0, null, { timeout: 60_000 });
const locate = async (device: string): Promise<{ lat: number; lon: number; fixTime: number }> => {
  const place = await page.evaluate((d) => window.waystream?.locate(d), device);
  if (!place) throw new Error(`${device} is not on the map`);
  return place;
};
/** A number that is another if any pixel is another. */
const mapPixels = (): Promise<number> => page.evaluate(() => {
  const canvas = document.querySelector<HTMLCanvasElement>('.vehicle-canvas');
  const pixels = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
  let sum = 0;
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] !== 0) sum = (Math.imul(sum, 31) + i + pixels[i]) | 0;
  return sum;
});

beforeAll(async () => {
  await mkdir(SHOTS, { recursive: true });
  system = await System.create();
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
});

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await shot('failed');
});

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

it('shows vehicles that move', async () => {
  await page.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES);
  await page.locator('select').filter({ has: page.locator('option[value=speed]') }).selectOption('speed');
  const row = page.locator('.vehicle-row:visible').first();
  await row.waitFor();
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
  await page.locator('.vehicle-row:visible').first().click();
  const card = page.getByRole('complementary', { name: 'Vehicle details' });
  await card.getByText('Protocol').waitFor();
  await card.locator('.attributes dt').first().waitFor();
  await card.locator('svg.chart').waitFor();
  // The address follows the map once it has flown there.
  await page.waitForURL(/#15\//);
  await shot('3-details');
});

it('raises an alert when a vehicle drives through a fence drawn by hand', async () => {
  const device = await page.locator('.vehicle-row:visible').first().getAttribute('data-device') ?? '';
  const { lat, lon } = await locate(device);
  await panel('fences');
  await page.evaluate(([a, b]) => window.waystream?.setView(a, b, 15), [lat, lon] as const);
  await page.locator('[data-draw=polygon]').click();
  const { x, y } = await page.evaluate(([a, b]) => window.waystream?.pointOf(a, b) ?? { x: 0, y: 0 }, [lat, lon] as const);
  for (const [dx, dy] of [[-130, -120], [140, -110], [120, 130]]) await page.mouse.click(x + dx, y + dy);
  await page.mouse.dblclick(x - 120, y + 120);
  await page.locator('.panel .form').getByRole('textbox', { name: 'Name' }).fill(FENCE);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('[data-fence]').filter({ hasText: FENCE }).waitFor();
  await shot('4-fence');
  await panel('alerts');
  await page.locator('[data-event]').filter({ hasText: FENCE }).first().waitFor({ timeout: 90_000 });
  await shot('5-alerts');
});

it('changes the shape of a fence: a corner moved, a corner added, a hole cut, given up or saved', async () => {
  const rings = async (): Promise<[number, number][][]> => {
    const { features } = await (await page.request.get(`${system.origin}/api/geofences`)).json() as { features: GeofenceFeature[] };
    return features.find((f) => f.properties.name === FENCE)?.geometry.coordinates as [number, number][][];
  };
  const edit = async (): Promise<void> => {
    await page.getByRole('button', { name: `Edit ${FENCE}` }).click();
    await page.locator('.fence-handle.corner').nth(3).waitFor();
  };
  const centre = async (handle: Locator): Promise<{ x: number; y: number }> => {
    const box = await handle.boundingBox();
    if (!box) throw new Error('no handle');
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  };
  const drag = async (handle: Locator, dx: number, dy: number): Promise<void> => {
    const { x, y } = await centre(handle);
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + dx, y + dy, { steps: 4 });
    await page.mouse.up();
  };
  await panel('fences');
  const before = await rings();
  await edit();
  await drag(page.locator('.fence-handle.corner').first(), -40, -30);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await edit();
  await drag(page.locator('.fence-handle.corner').first(), -40, -30);
  await drag(page.locator('.fence-handle.middle').last(), -60, 0);
  expect(await page.locator('.fence-handle.corner').count()).toBe(5);
  const corner = await centre(page.locator('.fence-handle.corner').first());
  await page.locator('[data-draw=hole]').click();
  for (const [dx, dy] of [[70, 60], [130, 60], [130, 110]]) await page.mouse.click(corner.x + dx, corner.y + dy);
  await page.mouse.dblclick(corner.x + 70, corner.y + 110);
  await page.locator('.fence-handle.corner').nth(8).waitFor();
  await shot('4-fence-edited');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('.fence-handle').first().waitFor({ state: 'detached' });
  const after = await rings();
  expect(after.map((ring) => ring.length)).toEqual([6, 5]);
  // What was given up left no trace: the first corner was moved once.
  const shift = (ring: [number, number][]): number => ring[0][0] - before[0][0][0];
  expect(shift(after[0])).toBeLessThan(0);
  expect(after[0]).toContainEqual(before[0][1]);
  expect(after[0]).toContainEqual(before[0][2]);
});

it('says at the place what is wrong with a fence', async () => {
  await panel('fences');
  await page.locator('[data-draw=polygon]').click();
  const map = await page.locator('.map').boundingBox();
  if (!map) throw new Error('no map');
  const at = (dx: number, dy: number): [number, number] => [map.x + map.width / 2 + dx, map.y + map.height / 2 + dy];
  // A bow tie.
  await page.mouse.click(...at(-80, -80));
  await page.mouse.click(...at(80, 80));
  await page.mouse.click(...at(80, -80));
  await page.mouse.dblclick(...at(-80, 80));
  await page.locator('.panel .form').getByRole('textbox', { name: 'Name' }).fill('Bow tie');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('.form .error').filter({ hasText: /\w/ }).waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
});

it('draws a circle, and another dashboard sees it at once', async () => {
  const other = await page.context().newPage();
  await other.goto(system.origin);
  await other.waitForFunction(() => (window.waystream?.stats?.link) === 'online');
  const before = await other.evaluate(() => window.waystream?.fences ?? 0);
  await page.bringToFront();
  await page.locator('[data-draw=circle]').click();
  const map = await page.locator('.map').boundingBox();
  if (!map) throw new Error('no map');
  await page.mouse.move(map.x + map.width / 2, map.y + map.height / 2);
  await page.mouse.down();
  await page.mouse.move(map.x + map.width / 2 + 90, map.y + map.height / 2 + 40, { steps: 4 });
  await page.mouse.up();
  await page.locator('.panel .form').getByRole('textbox', { name: 'Name' }).fill('Test circle');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('[data-fence]').filter({ hasText: 'Test circle' }).waitFor();
  await other.waitForFunction((n) => window.waystream?.fences === n + 1, before);
  await other.close();
});

it('draws a corridor with rules, and says what is wrong with a rule', async () => {
  await page.locator('[data-draw=corridor]').click();
  const map = await page.locator('.map').boundingBox();
  if (!map) throw new Error('no map');
  const [x, y] = [map.x + map.width / 2 - 150, map.y + map.height / 2];
  await page.mouse.click(x, y);
  await page.mouse.click(x + 100, y - 60);
  await page.mouse.dblclick(x + 200, y + 20);
  const form = page.locator('.panel .form');
  await form.getByRole('textbox', { name: 'Name' }).fill('Test corridor');
  await form.getByLabel('Width').fill('80');
  await form.getByText('Rules').click();
  await form.getByLabel('farther away').fill('20');
  await form.getByLabel('Speed limit').fill('50');
  await form.getByLabel('crossed between').check();
  await form.getByLabel('in these hours').fill('all day');
  await page.getByRole('button', { name: 'Save' }).click();
  await form.locator('.error').filter({ hasText: 'all day' }).waitFor();
  await form.getByLabel('in these hours').fill('mon-fri 08:00-18:00\nsat 08:00-12:00');
  await form.getByLabel('Time zone').selectOption('Europe/Warsaw');
  await shot('5-corridor');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('[data-fence]').filter({ hasText: 'Test corridor' }).filter({ hasText: '80 m wide' }).waitFor();
  const { features } = await (await page.request.get(`${system.origin}/api/geofences`)).json() as { features: GeofenceFeature[] };
  const saved = features.find((f) => f.properties.name === 'Test corridor');
  expect(saved?.geometry).toMatchObject({ type: 'LineString', coordinates: [[expect.any(Number), expect.any(Number)], expect.anything(), expect.anything()] });
  expect(saved?.properties).toMatchObject({
    width_m: 80, exit_margin_m: 20, speed_limit_mps: expect.closeTo(50 / 3.6, 3), cross: true, schedule: { time_zone: 'Europe/Warsaw', hours: ['mon-fri 08:00-18:00', 'sat 08:00-12:00'] },
  });
});

it('measures a length and an area, by mouse and by keys', async () => {
  await panel('vehicles');
  await page.evaluate(() => window.waystream?.setView(48, 11, 14));
  await page.getByRole('button', { name: 'Measure' }).click();
  const readout = page.locator('.measure strong');
  const at = (lat: number, lng: number): Promise<{ x: number; y: number }> => page.evaluate(([a, b]) => window.waystream?.pointOf(a, b) ?? { x: 0, y: 0 }, [lat, lng] as const);
  const click = async (lat: number, lng: number): Promise<void> => {
    const { x, y } = await at(lat, lng);
    await page.mouse.click(x, y);
  };
  // Pixels are 6 m wide here: a little more or less than 1112 m, and than 1112 m by 1115 m.
  await click(47.995, 10.9925);
  await click(48.005, 10.9925);
  await readout.filter({ hasText: /^1\.1\d km$/ }).waitFor();
  await click(48.005, 11.0075);
  await click(47.995, 11.0075);
  await click(47.995, 10.9925);
  await readout.filter({ hasText: /^1\.2\d km², 4\.4\d km around$/ }).waitFor();
  await shot('6-measure');
  await page.keyboard.press('Escape');
  await page.locator('.measure').waitFor({ state: 'hidden' });
  // By keys alone: 120 px of the map at a time.
  await page.keyboard.press('m');
  await page.keyboard.press('Enter');
  const before = page.url();
  await page.keyboard.press('ArrowRight');
  await page.waitForURL((url) => url.href !== before);
  await page.keyboard.press('Enter');
  await readout.filter({ hasText: /^\d+ m$/ }).waitFor();
  await page.keyboard.press('Backspace');
  await readout.filter({ hasText: /^0 m$/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.measure').waitFor({ state: 'hidden' });
});

it('shows where reports were many', async () => {
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await page.getByRole('button', { name: 'Heat map' }).click();
  const box = page.getByRole('region', { name: 'Heat map' });
  await box.getByText('Reports a cell').waitFor();
  const warm = (): Promise<number> => page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('.heat-canvas');
    const pixels = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    let n = 0;
    for (let i = 3; i < pixels.length; i += 4) if (pixels[i] !== 0) n++;
    return n;
  });
  await expect.poll(warm, { timeout: 30_000 }).toBeGreaterThan(1000);
  await shot('6-heat');
  // A time without reports is cold.
  await box.getByLabel('From').fill('2001-01-01T00:00:00');
  await box.getByLabel('To').fill('2001-01-02T00:00:00');
  await box.getByText('No reports here').waitFor();
  expect(await warm()).toBe(0);
  await box.getByRole('button', { name: 'Close' }).click();
  expect(await page.locator('.heat-canvas').count()).toBe(0);
});

it('lists who is inside a geofence or reports an attribute, coloured by speed, at an address that shows another the same', async () => {
  await panel('vehicles');
  const matching = (of: Page = page): Promise<number> => of.evaluate(() => window.waystream?.stats?.matching ?? -1);
  await page.getByText('More filters').click();
  await page.getByLabel('Attribute').fill('speed of light');
  await page.getByLabel('Attribute').press('Enter');
  await page.getByRole('alert').filter({ hasText: 'name=value' }).waitFor();
  await page.getByLabel('Attribute').fill('nobody_has_this');
  await page.getByLabel('Attribute').press('Enter');
  await expect.poll(() => matching(), { timeout: 30_000 }).toBe(0);
  await page.getByLabel('Attribute').fill('');
  await page.getByLabel('Attribute').press('Enter');
  await expect.poll(() => matching(), { timeout: 30_000 }).toBe(VEHICLES);
  await page.getByLabel('Inside geofence').selectOption({ label: 'Low emission zone' });
  await expect.poll(() => matching(), { timeout: 30_000 }).toBeLessThan(VEHICLES);
  expect(await matching()).toBeGreaterThan(0);
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  const before = await mapPixels();
  await page.getByRole('button', { name: 'Colour by speed' }).click();
  await page.locator('.speed-legend').waitFor();
  await expect.poll(mapPixels, { timeout: 30_000 }).not.toBe(before);
  await page.locator('.vehicle-row:visible').first().click();
  await page.waitForURL(/fence=.*/);
  await page.waitForURL(/device=.*/);
  await shot('6-speed');
  const other = await page.context().newPage();
  await other.goto(page.url());
  await expect.poll(() => matching(other), { timeout: 60_000 }).toBeLessThan(VEHICLES);
  await other.getByRole('complementary', { name: 'Vehicle details' }).getByText('Protocol').waitFor();
  expect(await other.locator('.card-title').first().textContent()).toBe(await page.locator('.card-title').first().textContent());
  await other.close();
  await page.getByRole('button', { name: 'Colour by speed' }).click();
  await page.getByLabel('Inside geofence').selectOption({ label: 'Anywhere' });
  await expect.poll(() => matching(), { timeout: 30_000 }).toBe(VEHICLES);
  await page.getByText('More filters').click();
});

it('acknowledges alerts, which stay so', async () => {
  await panel('alerts');
  await page.getByLabel('Kind').selectOption('!');
  const first = page.locator('[data-event]').first();
  const id = await first.getAttribute('data-event') ?? '';
  await first.getByRole('button', { name: 'Acknowledge' }).click();
  await page.locator(`[data-event="${id}"]`).waitFor({ state: 'detached' });
  await page.getByLabel('Sound').check();
  await page.reload();
  await vehiclesShown();
  await panel('alerts');
  expect(await page.getByLabel('Sound').isChecked()).toBe(true);
  await page.locator(`[data-event="${id}"]`).getByText('acknowledged').waitFor();
  await page.getByLabel('Sound').uncheck();
});

it('shows figures and times in the units and the zone that a user chose', async () => {
  const settings = async (units: string, zone: string): Promise<void> => {
    await page.getByRole('button', { name: 'Account' }).click();
    await page.getByRole('menuitem', { name: 'Units and time zone' }).click();
    await page.getByLabel('Units').selectOption(units);
    await page.getByLabel('Time zone').selectOption(zone);
    await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Save' }).click()]);
    await vehiclesShown();
    await panel('vehicles');
  };
  await settings('imperial', 'Asia/Tokyo');
  await page.locator('.row-speed').filter({ hasText: 'mph' }).first().waitFor();
  await page.locator('.leaflet-control-scale-line').filter({ hasText: /mi|ft/ }).waitFor();
  await panel('replay');
  await expect.poll(() => page.locator('.panel .form').getByLabel('To', { exact: true }).inputValue()).not.toBe('');
  const tokyo = await page.locator('.panel .form').getByLabel('To', { exact: true }).inputValue();
  const utc = await page.locator('.panel .form').getByLabel('To', { exact: true }).getAttribute('title') ?? '';
  expect(Date.parse(`${tokyo}Z`) - Date.parse(`${utc.slice(0, 19).replace(' ', 'T')}Z`)).toBe(9 * 3_600_000);
  await settings('metric', '');
  await page.locator('.row-speed').filter({ hasText: 'km/h' }).first().waitFor();
});

it('replays the past: play, seek, pause, close', async () => {
  await panel('replay');
  await page.getByRole('button', { name: '15 min' }).click();
  await page.locator('.panel .form').getByLabel('Vehicles').selectOption('all:');
  await page.locator('.panel .form').getByLabel('Speed').selectOption('10');
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 50, null, { timeout: 60_000 });
  const start = await page.evaluate(() => window.waystream?.replay?.at ?? 0);
  await page.waitForFunction((t) => (window.waystream?.replay?.at ?? 0) > t + 10_000, start);
  const dock = page.getByRole('region', { name: 'Replay controls' });
  // Slow enough to be still on its way when it is told to pause.
  await dock.getByLabel('Speed').selectOption('5');
  const slider = await dock.getByLabel('Moment').boundingBox();
  if (!slider) throw new Error('no slider');
  await page.mouse.click(slider.x + slider.width / 2, slider.y + slider.height / 2);
  await page.waitForFunction((t) => (window.waystream?.replay?.at ?? 0) > t + 300_000 && (window.waystream?.replay?.count ?? 0) > 50, start);
  await shot('6-replay');
  await dock.getByRole('button', { name: 'Pause' }).click();
  await dock.getByRole('button', { name: 'Play' }).waitFor();
  await dock.getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
});

it('exports the tracks of a replay', async () => {
  await panel('alerts');
  await page.locator('[data-event]').first().getByRole('button', { name: 'Replay this moment' }).click();
  await page.waitForFunction(() => window.waystream?.replay?.count === 1, null, { timeout: 60_000 });
  const menu = page.getByRole('region', { name: 'Replay controls' }).getByLabel('Export');
  for (const [format, start] of [['gpx', '<?xml'], ['csv', 'device_id,'], ['geojson', '{'], ['kml', '<?xml']] as const) {
    const [file] = await Promise.all([page.waitForEvent('download'), menu.selectOption(format)]);
    const text = await readFile(await file.path(), 'utf8');
    expect(text.slice(0, start.length), format).toBe(start);
    expect(text.length, format).toBeGreaterThan(300);
  }
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
});

it('replays the moment of an alert', async () => {
  await panel('alerts');
  const alert = page.locator('[data-event]').filter({ hasText: FENCE }).first();
  await alert.getByRole('button', { name: 'Replay this moment' }).click();
  await page.waitForFunction(() => window.waystream?.replay?.playing === true && window.waystream.replay.count === 1, null, { timeout: 60_000 });
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
});

it('completes SQL, answers it with a table, a chart and dots on the map, and marks what is wrong', async () => {
  await panel('sql');
  const editor = page.getByLabel('SQL query');
  await page.locator('.cm-editor').waitFor();
  const answered = (rows: string): Promise<void> => page.locator('.sql-status').getByText(rows).waitFor();
  const view = (name: string): Locator => page.locator(`[data-view=${name}]`);
  // Completed from what the server tells of itself: a column of a table, and a function of ours.
  await editor.fill('SELECT latest_positions.alti');
  await page.keyboard.press('Control+Space');
  await page.locator('.cm-tooltip-autocomplete').getByText('altitude_m').waitFor();
  await page.keyboard.press('Escape');
  await editor.fill('SELECT haversi');
  await page.keyboard.press('Control+Space');
  await page.locator('.cm-tooltip-autocomplete').getByText('haversine_m').first().waitFor();
  await shot('7-sql-completion');
  await page.keyboard.press('Escape');
  await editor.fill('SELECT device, count(*) AS n FROM positions GROUP BY device ORDER BY n DESC LIMIT 20');
  await editor.press('Control+Enter');
  await page.locator('.sql-result tbody tr').nth(19).waitFor();
  expect(await view('chart').isDisabled()).toBe(true);
  expect(await view('map').isDisabled()).toBe(true);
  await shot('7-sql');
  await editor.fill("SELECT date_trunc('minute', fix_time) AS minute, count(*) AS reports FROM positions GROUP BY minute ORDER BY minute");
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('.sql-result th').getByText('minute').waitFor();
  await view('chart').click();
  await page.locator('.sql-result .u-over').waitFor();
  await shot('7-sql-chart');
  await editor.fill('SELECT device, lat, lon, speed_mps FROM latest_positions');
  await page.getByRole('button', { name: 'Run' }).click();
  await answered(`${VEHICLES} rows`);
  await view('map').click();
  await page.getByText(`${VEHICLES} rows on the map`).waitFor();
  expect(await page.locator('.leaflet-results-pane canvas').count()).toBe(1);
  await shot('7-sql-map');
  await view('table').click();
  expect(await page.locator('.leaflet-results-pane canvas').count()).toBe(0);
  await editor.fill('SELECT nonsense FROM positions');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('.sql-error').filter({ hasText: 'nonsense' }).waitFor();
  expect(await page.locator('.cm-lintRange-error').textContent()).toBe('nonsense');
  await editor.fill('SELECT device\nFORM positions LIMIT 3');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('.cm-lintRange-error').filter({ hasText: 'positions' }).waitFor();
});

it('is usable in the dark and on a phone', async () => {
  await panel('vehicles');
  await page.getByRole('button', { name: 'Dark mode' }).click();
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
  await page.waitForFunction(() => (window.waystream?.inView ?? 0) > 100);
  await shot('8-dark');
  await page.getByRole('button', { name: 'Light mode' }).click();
  await page.setViewportSize({ width: 390, height: 780 });
  await page.waitForFunction(() => document.querySelector<HTMLCanvasElement>('.vehicle-canvas')?.width === 390 + 96);
  await shot('9-phone');
  await page.setViewportSize({ width: 1280, height: 800 });
});

it('can be used by everybody: no serious finding in any panel, light and dark', async () => {
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  const findings: string[] = [];
  const look = async (where: string): Promise<void> => {
    const found = await page.evaluate(async () => {
      const { violations } = await (window as unknown as { axe: { run: () => Promise<{ violations: Finding[] }> } }).axe.run();
      return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
    });
    findings.push(...found.map((finding) => `${where}: ${finding}`));
  };
  await panel('vehicles');
  await page.locator('.vehicle-row:visible').first().click();
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByText('Protocol').waitFor();
  for (const theme of ['light', 'dark']) {
    for (const name of ['vehicles', 'fences', 'alerts', 'replay', 'sql']) {
      await panel(name);
      await look(`${name}, ${theme}`);
    }
    await page.getByRole('button', { name: /(Dark|Light) mode/ }).click();
  }
  expect(findings).toEqual([]);
});

it('is live through a proxy that lets no WebSocket pass', async () => {
  const proxy = await proxyWithoutWebSocket(system.origin);
  const context = await browser.newContext();
  await context.addCookies((await page.context().cookies()).map((cookie) => ({ ...cookie, secure: false })));
  const other = await context.newPage();
  await other.goto(proxy.origin);
  await other.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES, { timeout: 60_000 });
  const frames = await other.evaluate(() => window.waystream?.stats?.frames ?? 0);
  await other.waitForFunction((n) => (window.waystream?.stats?.frames ?? 0) > n + 5, frames, { timeout: 60_000 });
  await context.close();
  proxy.close();
});

it('goes on by itself after the server was restarted', async () => {
  await system.stop();
  await page.waitForFunction(() => window.waystream?.stats?.link === 'lost', null, { timeout: 30_000 });
  await page.getByRole('status').filter({ hasText: 'Connection lost' }).waitFor();
  // Opened without a server, the page is there and says what is the matter.
  const other = await page.context().newPage();
  await other.goto(system.origin);
  await other.getByRole('alert').filter({ hasText: 'can’t be reached' }).waitFor();
  await other.close();
  await system.start('run');
  await page.waitForFunction(() => window.waystream?.stats?.link === 'online', null, { timeout: 60_000 });
  await page.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, VEHICLES);
});

it('complained about nothing', () => {
  expect(complaints).toEqual([]);
});
