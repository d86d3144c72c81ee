/** What the map and the list show besides. */

import { type Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { PASSWORD, VEHICLES, browser, page, shot, panel, vehiclesShown, mapPixels } from '../stage';

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

it('acknowledges alerts for everybody, and they stay so until it is taken back', async () => {
  await panel('alerts');
  await page.getByLabel('Kind').selectOption('!');
  // Newer ones come meanwhile: it is known by its id, not by its place.
  const id = await page.locator('[data-event]').first().getAttribute('data-event') ?? '';
  const alert = page.locator(`[data-event="${id}"]`);
  // Somebody else looks at the same list.
  const other = await page.context().newPage();
  await other.goto(new URL(page.url()).origin);
  await other.locator('[data-panel=alerts]').click();
  await other.getByLabel('Kind').selectOption('!');
  const there = other.locator(`[data-event="${id}"]`);
  await there.waitFor();
  await page.getByLabel('Note for what is acknowledged next').fill('called the driver');
  await alert.getByRole('button', { name: 'Acknowledge', exact: true }).click();
  await alert.waitFor({ state: 'detached' });
  await there.waitFor({ state: 'detached' });
  await page.getByLabel('Sound').check();
  await page.reload();
  await vehiclesShown();
  await panel('alerts');
  expect(await page.getByLabel('Sound').isChecked()).toBe(true);
  // The address has the filter.
  expect(await page.getByLabel('Kind').inputValue()).toBe('!');
  await page.getByLabel('Kind').selectOption('');
  await alert.getByText(/acknowledged by admin, .*: called the driver/).waitFor();
  await shot('6-acknowledged');
  await page.getByLabel('Sound').uncheck();
  await alert.getByRole('button', { name: 'Take the acknowledgement back' }).click();
  await there.waitFor();
  await alert.getByText('acknowledged by').waitFor({ state: 'detached' });
  await other.close();
});

it('shows figures and times in the units and the zone that a user chose', async () => {
  const settings = async (units: string, zone: string): Promise<void> => {
    await page.getByRole('button', { name: 'Account' }).click();
    await page.getByRole('menuitem', { name: 'Units and time zone' }).click();
    const dialog = page.getByRole('dialog', { name: 'Units and time zone' });
    await dialog.getByLabel('Units').selectOption(units);
    await dialog.getByLabel('Time zone').selectOption(zone);
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
  // They are the user's, not this browser's.
  const another = await browser.newContext();
  const there = await another.newPage();
  await there.goto(new URL(page.url()).origin);
  await there.locator('input[name=username]').fill('admin');
  await there.locator('input[name=password]').fill(PASSWORD);
  await there.getByRole('button', { name: 'Sign in' }).click();
  await there.locator('.row-speed').filter({ hasText: 'mph' }).first().waitFor({ timeout: 60_000 });
  await there.locator('[data-panel=fences]').click();
  await there.getByRole('button', { name: 'Edit Test corridor' }).click();
  const width = there.locator('.panel .form').getByLabel('Width, ft');
  // 80 m.
  expect(Number(await width.inputValue())).toBeCloseTo(262.47, 1);
  await another.close();
  await settings('metric', '');
  await page.locator('.row-speed').filter({ hasText: 'km/h' }).first().waitFor();
});
