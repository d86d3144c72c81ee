/** What a click leads to: following, choosing, jumping, deleting, and what the map draws of names and groups. */

import { expect, it } from 'vitest';
import type { DeviceInfo } from '../../src/wire/types';
import { FENCE, locate, page, panel, shot, system } from '../stage';

interface Place { lat: number; lon: number }

const pointOf = ({ lat, lon }: Place): Promise<{ x: number; y: number }> =>
  page.evaluate(([a, b]) => window.waystream?.pointOf(a, b) ?? { x: -1, y: -1 }, [lat, lon] as const);
const setView = ({ lat, lon }: Place, zoom: number): Promise<void> =>
  page.evaluate(([a, b, z]) => window.waystream?.setView(a, b, z), [lat, lon, zoom] as const);
/** Pixels of a degree: tells the zoom, whatever the address says. */
const scale = async (): Promise<number> => (await pointOf({ lat: 0, lon: 1 })).x - (await pointOf({ lat: 0, lon: 0 })).x;

async function middle(): Promise<{ x: number; y: number }> {
  const map = await page.locator('.map').boundingBox();
  if (!map) throw new Error('no map');
  return { x: map.x + map.width / 2, y: map.y + map.height / 2 };
}

/** How far from the middle of the map a place is shown, px. */
async function offCentre(place: Place): Promise<number> {
  const { x, y } = await middle();
  const at = await pointOf(place);
  return Math.hypot(at.x - x, at.y - y);
}

/** The middle of all vehicles. */
async function town(): Promise<Place> {
  const devices = (await (await page.request.get(`${system.origin}/api/devices`)).json() as DeviceInfo[]).map(({ id }) => id);
  const places = await page.evaluate(async (all) => {
    const rows = await Promise.all(all.map((device) => window.waystream?.locate(device)));
    return rows.flatMap((row) => (row ? [{ lat: row.lat, lon: row.lon }] : []));
  }, devices);
  const mean = (values: number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
  return { lat: mean(places.map(({ lat }) => lat)), lon: mean(places.map(({ lon }) => lon)) };
}

/** By the one button for it, which says how it is now. */
async function group(mode: 'auto' | 'always' | 'never'): Promise<void> {
  for (let n = 0; n < 3 && await page.getByRole('button', { name: `Group: ${mode}` }).count() === 0; n++) await page.keyboard.press('g');
  await page.getByRole('button', { name: `Group: ${mode}` }).waitFor();
}

/** Clicks around a place until something has come of it: the mark of a group stands inside its square, not quite at its middle. */
async function clickAround(at: Place, done: () => Promise<boolean>): Promise<void> {
  const { x, y } = await pointOf(at);
  const steps = [[0, 0], [20, 0], [-20, 0], [0, 20], [0, -20], [20, 20], [-20, -20], [20, -20], [-20, 20]];
  let n = 0;
  await expect.poll(async () => {
    if (await done()) return true;
    const [dx, dy] = steps[n++ % steps.length];
    await page.mouse.click(x + dx, y + dy);
    return done();
  }, { timeout: 30_000, interval: 1_000 }).toBe(true);
}

it('follows a vehicle until somebody looks elsewhere: by dragging the map, by keys, by a button', async () => {
  await panel('vehicles');
  await page.locator('.panel-body:visible').getByLabel('Sort by').selectOption('speed');
  const row = page.locator('.vehicle-row:visible').first();
  const device = await row.getAttribute('data-device') ?? '';
  await row.click();
  const follow = page.getByRole('button', { name: 'Follow', exact: true });
  await follow.click();
  expect(await follow.getAttribute('aria-pressed')).toBe('true');
  const start = await locate(device);
  await expect.poll(() => offCentre(start), { timeout: 90_000 }).toBeGreaterThan(60);
  // It has driven on, and is still in the middle: dead reckoning is at most some seconds ahead of its last fix.
  await expect.poll(async () => offCentre(await locate(device)), { timeout: 30_000 }).toBeLessThan(100);
  const { x, y } = await middle();
  await page.mouse.move(x - 60, y + 120);
  await page.mouse.down();
  await page.mouse.move(x - 60, y - 40, { steps: 6 });
  await page.mouse.up();
  await expect.poll(() => follow.getAttribute('aria-pressed')).toBe('false');
  for (const lookElsewhere of [() => page.locator('.map').press('ArrowRight'), () => page.getByRole('button', { name: 'Show all vehicles' }).click()]) {
    await follow.click();
    expect(await follow.getAttribute('aria-pressed')).toBe('true');
    await lookElsewhere();
    await expect.poll(() => follow.getAttribute('aria-pressed')).toBe('false');
  }
  await page.locator('.panel-body:visible').getByLabel('Sort by').selectOption('name');
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByRole('button', { name: 'Close' }).click();
});

it('draws names or not, and groups or not; a group opens by a click, vehicles on one spot by a choice', async () => {
  /** Pixels of the map that are not see-through. */
  const painted = (): Promise<number> => page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('.vehicle-canvas');
    if (!canvas) return 0;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy?.drawImage(canvas, 0, 0);
    const pixels = copy?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    let n = 0;
    for (let i = 3; i < pixels.length; i += 4) if (pixels[i] !== 0) n++;
    return n;
  });
  const inView = (): Promise<number> => page.evaluate(() => window.waystream?.inView ?? 0);
  const names = page.getByRole('button', { name: 'Names' });
  const all = await town();
  await group('never');
  await setView(all, 14);
  await expect.poll(inView, { timeout: 30_000 }).toBeGreaterThan(3);
  if (await names.getAttribute('aria-pressed') !== 'true') await names.click();
  /** Painted pixels a vehicle, in a picture that shows what was pressed. */
  const ofEach = async (): Promise<number> => {
    const before = await page.evaluate(() => window.waystream?.frames ?? 0);
    await page.waitForFunction((n) => (window.waystream?.frames ?? 0) > n + 3, before);
    return (await painted()) / Math.max(1, await inView());
  };
  const named = await ofEach();
  await page.keyboard.press('n');
  expect(await names.getAttribute('aria-pressed')).toBe('false');
  // The plate of a name has several times the pixels of an arrow.
  expect(await ofEach()).toBeLessThan(named / 1.5);
  await page.keyboard.press('n');
  expect(await names.getAttribute('aria-pressed')).toBe('true');

  await group('always');
  await setView(all, 6);
  const far = await scale();
  await clickAround(all, async () => await scale() > 3 * far);
  await shot('7-group-opened');

  await group('never');
  await setView(all, 6);
  const choice = page.locator('.chooser-row');
  await clickAround(all, async () => await choice.count() > 1);
  const chosen = await choice.nth(1).textContent() ?? '';
  await shot('7-chooser');
  await choice.nth(1).click();
  await page.locator('.chooser').waitFor({ state: 'detached' });
  await page.locator('.card-title').filter({ hasText: chosen }).first().waitFor();
  await group('auto');
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByRole('button', { name: 'Close' }).click();
});

it('pops up what is new, unless it is not to, and a click leads to the place', async () => {
  await panel('alerts');
  await page.getByLabel('Pop-ups').check();
  await panel('vehicles');
  await setView(await town(), 6);
  const far = await scale();
  const popUps = page.locator('.toasts .toast-alert');
  await page.locator('.toasts button.toast-body').first().click({ timeout: 60_000 });
  await page.getByRole('complementary', { name: 'Vehicle details' }).waitFor();
  await expect.poll(scale, { timeout: 30_000 }).toBeGreaterThan(100 * far);
  await panel('alerts');
  await page.getByLabel('Pop-ups').uncheck();
  await panel('vehicles');
  await expect.poll(() => popUps.count(), { timeout: 30_000 }).toBe(0);
  const unseen = async (): Promise<number> => Number.parseInt(await page.locator('[data-panel=alerts] .badge').textContent() || '0', 10);
  const before = await unseen();
  await expect.poll(unseen, { timeout: 90_000 }).toBeGreaterThan(before);
  expect(await popUps.count()).toBe(0);
  await panel('alerts');
  await page.getByLabel('Pop-ups').check();
});

it('jumps from an alert and from a geofence to the place on the map', async () => {
  await setView({ lat: 0, lon: 0 }, 4);
  const far = await scale();
  await panel('alerts');
  await page.getByLabel('Search vehicle or geofence').fill(FENCE);
  await page.locator('.panel-body:visible [data-event]').filter({ hasText: FENCE }).first().locator('.list-main').click({ timeout: 90_000 });
  await expect.poll(scale, { timeout: 30_000 }).toBeGreaterThan(1000 * far);
  await page.getByLabel('Search vehicle or geofence').fill('');
  await setView({ lat: 0, lon: 0 }, 4);
  await panel('fences');
  await page.locator('[data-fence]').filter({ hasText: FENCE }).getByTitle('Show on the map').click();
  await expect.poll(scale, { timeout: 30_000 }).toBeGreaterThan(500 * far);
  // For whom motion makes ill it is there at once.
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await setView({ lat: 0, lon: 0 }, 4);
  await page.locator('[data-fence]').filter({ hasText: FENCE }).getByTitle('Show on the map').evaluate((button: HTMLElement) => button.click());
  expect(await scale()).toBeGreaterThan(500 * far);
});

it('deletes a geofence, here and on every other dashboard, once it is confirmed', async () => {
  const other = await page.context().newPage();
  await other.goto(system.origin);
  await other.waitForFunction(() => window.waystream?.stats?.link === 'online');
  const before = await other.evaluate(() => window.waystream?.fences ?? 0);
  await page.bringToFront();
  await panel('fences');
  const item = page.locator('[data-fence]').filter({ hasText: 'Test circle' });
  await page.getByRole('button', { name: 'Edit Test circle' }).click();
  page.once('dialog', (question) => void question.dismiss());
  await page.locator('.panel .form').getByRole('button', { name: 'Delete' }).click();
  expect(await item.count()).toBe(1);
  page.once('dialog', (question) => void question.accept());
  await page.locator('.panel .form').getByRole('button', { name: 'Delete' }).click();
  await item.waitFor({ state: 'detached' });
  await other.waitForFunction((n) => window.waystream?.fences === n - 1, before);
  await other.close();
  expect(await page.locator('.fence-handle').count()).toBe(0);
});
