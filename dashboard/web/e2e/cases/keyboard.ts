/** Without a mouse: every shortcut that the page tells of, the list, the account menu, dialogs, and geofences drawn and changed. */

import { expect, it } from 'vitest';
import { texts } from '../../src/texts';
import type { GeofenceFeature } from '../../src/wire/types';
import { VEHICLES, page, panel, shot, system } from '../stage';

const press = (key: string): Promise<void> => page.keyboard.press(key);
const nowhere = (): Promise<void> => page.evaluate(() => {
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
});
const attribute = (selector: string, name: string) => (): Promise<string | null> => page.locator(selector).first().getAttribute(name);
const seen = (selector: string) => async (): Promise<string> => String(await page.locator(selector).first().isVisible());
/** A key that changes something, and changes it back when it is pressed so many times in all. */
const turns = (key: string, state: () => Promise<string | null>, times = 2) => async (): Promise<void> => {
  const before = await state();
  await press(key);
  await expect.poll(state).not.toBe(before);
  for (let n = 1; n < times; n++) {
    // An editor may have taken the focus.
    await nowhere();
    await press(key);
  }
  await expect.poll(state).toBe(before);
};
const opens = (key: string, name: string): (() => Promise<void>) => turns(key, attribute(`[data-panel=${name}]`, 'aria-pressed'));
/** An arrow that moves the map; the address tells when it has come to rest. */
const pan = async (arrow: string): Promise<void> => {
  const before = page.url();
  await press(arrow);
  await page.waitForURL((url) => url.href !== before);
};
const onMap = (): Promise<boolean> => page.evaluate(() => document.activeElement?.classList.contains('leaflet-container') === true);
/** The place in the list of the row that has the focus. */
const row = (): Promise<number> => page.evaluate(() => {
  const element = document.activeElement;
  return element?.classList.contains('vehicle-row') ? Math.round(new DOMMatrix(getComputedStyle(element).transform).m42 / 46) : -1;
});
const atRow = (place: number): Promise<void> => expect.poll(row, { timeout: 10_000 }).toBe(place);
/** Selects the vehicle whose row has the focus, and waits until the map has flown there. */
const select = async (): Promise<void> => {
  await press('Enter');
  await page.locator('aside.card').waitFor();
  await page.waitForURL(/device=/);
  await nowhere();
};
const fence = async (name: string): Promise<GeofenceFeature | undefined> => {
  const { features } = await (await page.request.get(`${system.origin}/api/geofences`)).json() as { features: GeofenceFeature[] };
  return features.find((f) => f.properties.name === name);
};
/** Begins to draw, far from all vehicles, without the mouse. */
const begin = async (kind: string): Promise<void> => {
  await panel('fences');
  await page.evaluate(() => window.waystream?.setView(48, 11, 14));
  await page.waitForURL(/#14\/48\.0/);
  await page.locator(`[data-draw=${kind}]`).first().focus();
  await press('Enter');
  await expect.poll(onMap).toBe(true);
};

async function whileReplaying(act: (at: () => Promise<number>, playing: () => Promise<boolean | undefined>) => Promise<void>): Promise<void> {
  await panel('replay');
  const quarter = page.getByRole('button', { name: '15 min' });
  await expect.poll(() => quarter.isEnabled(), { timeout: 10_000 }).toBe(true);
  await quarter.press('Enter');
  await page.locator('.panel .form').getByLabel('Vehicles').selectOption('all:');
  await page.getByRole('button', { name: 'Start replay' }).press('Enter');
  await page.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 50, null, { timeout: 60_000 });
  await nowhere();
  await act(() => page.evaluate(() => window.waystream?.replay?.at ?? 0), () => page.evaluate(() => window.waystream?.replay?.playing));
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).press('Enter');
  await page.waitForFunction(() => window.waystream?.replay === null);
}

const SHORTCUTS: Record<string, () => Promise<void>> = {
  V: opens('v', 'vehicles'), F: opens('f', 'fences'), A: opens('a', 'alerts'), R: opens('r', 'replay'), T: opens('t', 'trips'), Q: opens('q', 'sql'),
  '/': async () => {
    await press('/');
    await expect.poll(() => page.evaluate(() => document.activeElement?.hasAttribute('data-search'))).toBe(true);
    // What is typed there is no shortcut.
    await page.keyboard.type('m');
    expect(await page.locator('.measure').isVisible()).toBe(false);
    await press('Backspace');
    await press('Escape');
    expect(await page.evaluate(() => document.activeElement === document.body)).toBe(true);
  },
  Space: () => whileReplaying(async (_, playing) => {
    const before = await playing();
    await press(' ');
    await expect.poll(playing).toBe(!before);
    await press(' ');
    await expect.poll(playing).toBe(before);
  }),
  '← →': () => whileReplaying(async (at, playing) => {
    if (await playing()) await press(' ');
    await expect.poll(playing).toBe(false);
    const start = await at();
    await press('ArrowRight');
    await expect.poll(at).toBeGreaterThan(start);
    const later = await at();
    await press('ArrowLeft');
    await expect.poll(at).toBeLessThan(later);
  }),
  M: turns('m', seen('.measure')),
  H: turns('h', seen('.heat-canvas')),
  S: turns('s', attribute('.map-button[aria-label="Colour by speed"]', 'aria-pressed')),
  N: turns('n', attribute('.map-button[aria-label="Names"]', 'aria-pressed')),
  G: turns('g', attribute('.map-button[data-mode]', 'data-mode'), 3),
  D: turns('d', attribute('html', 'data-theme')),
  '+ −': async () => {
    const zoom = (): Promise<string | undefined> => Promise.resolve(/#(\d+)\//.exec(page.url())?.[1]);
    await page.evaluate(() => window.waystream?.setView(48, 11, 14));
    await expect.poll(zoom).toBe('14');
    await page.locator('.map').focus();
    await press('+');
    await expect.poll(zoom).toBe('15');
    await press('-');
    await expect.poll(zoom).toBe('14');
  },
  Esc: async () => {
    await panel('vehicles');
    await page.locator('.vehicle-row:visible').first().focus();
    await select();
    await press('Escape');
    await page.locator('aside.card').waitFor({ state: 'hidden' });
    expect(await attribute('[data-panel=vehicles]', 'aria-pressed')()).toBe('true');
    await press('Escape');
    await expect.poll(attribute('[data-panel=vehicles]', 'aria-pressed')).toBe('false');
  },
  '?': async () => {
    await press('?');
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('This list').waitFor();
    expect(await dialog.locator('dt').allTextContents()).toEqual(texts.shortcuts.map(([key]) => key));
    // The page behind it hears nothing.
    await press('m');
    expect(await page.locator('.measure').isVisible()).toBe(false);
    await press('Escape');
    await dialog.waitFor({ state: 'detached' });
  },
  '↑ ↓ Home End PgUp PgDn': async () => {
    await press('/');
    await page.locator('.vehicle-row:visible').first().waitFor();
    for (let place = 0; place < 12; place++) {
      await press('ArrowDown');
      await atRow(place);
    }
    await press('ArrowUp');
    await atRow(10);
    await press('End');
    await atRow(VEHICLES - 1);
    await press('ArrowDown');
    await press('PageUp');
    await expect.poll(row, { timeout: 10_000 }).toBeLessThan(VEHICLES - 3);
    await press('Home');
    await atRow(0);
    await press('PageDown');
    await expect.poll(row, { timeout: 10_000 }).toBeGreaterThan(2);
    await select();
    await press('Escape');
  },
  Enter: async () => {
    await begin('circle');
    await press('Enter');
    await pan('ArrowRight');
    await press('Enter');
    await page.locator('.panel .form').getByText('the edge to resize it').waitFor();
    expect(await page.locator('.fence-handle').count()).toBe(2);
    await page.getByRole('button', { name: 'Cancel' }).press('Enter');
    await page.locator('.fence-handle').first().waitFor({ state: 'detached' });
  },
};

it.each(texts.shortcuts)('does by keys what the list of shortcuts says: %s, %s', async (key) => {
  await nowhere();
  const check = SHORTCUTS[key];
  if (!check) throw new Error(`nothing tries ${key}`);
  await check();
});

it('draws a geofence by keys, and changes its shape', async () => {
  await begin('polygon');
  await press('Enter');
  await pan('ArrowRight');
  await press('Enter');
  await pan('ArrowDown');
  await press('Enter');
  await shot('5-keyboard');
  // The same corner again closes it; the name is asked for.
  await press('Enter');
  await page.locator('.fence-handle.corner').nth(2).waitFor();
  await page.keyboard.type('By keys');
  await press('Enter');
  await page.locator('[data-fence]').filter({ hasText: 'By keys' }).filter({ hasText: '3 corners' }).waitFor();
  const before = (await fence('By keys'))?.geometry.coordinates as [number, number][][];

  await page.getByRole('button', { name: 'Edit By keys' }).press('Enter');
  const corners = page.locator('.fence-handle.corner');
  await corners.nth(2).waitFor();
  const onHandle = (kind: string): Promise<boolean> => page.evaluate((name) => document.activeElement?.classList.contains(name) === true, kind);
  await corners.first().focus();
  await press('ArrowLeft');
  await press('Shift+ArrowLeft');
  // It is another element each time, and has the focus all the same.
  expect(await onHandle('corner')).toBe(true);
  await page.locator('.fence-handle.middle').first().press('Enter');
  await expect.poll(() => corners.count()).toBe(4);
  expect(await onHandle('corner')).toBe(true);
  await press('Delete');
  await expect.poll(() => corners.count()).toBe(3);
  await page.getByRole('button', { name: 'Save' }).press('Enter');
  await corners.first().waitFor({ state: 'detached' });
  const after = (await fence('By keys'))?.geometry.coordinates as [number, number][][];
  const west = (rings: [number, number][][]): number => Math.min(...rings[0].map(([lon]) => lon));
  expect(after[0]).toHaveLength(4);
  // 11 px at zoom 14, of the corner in the west.
  expect(west(before) - west(after)).toBeCloseTo((11 * 360) / (256 * 2 ** 14), 5);

  await begin('corridor');
  await press('Escape');
  expect(await page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset['draw'])).toBe('corridor');
  await page.getByRole('button', { name: 'Edit By keys' }).press('Enter');
  page.once('dialog', (dialog) => void dialog.accept());
  await page.locator('.panel .form').getByRole('button', { name: 'Delete' }).press('Enter');
  await page.locator('[data-fence]').filter({ hasText: 'By keys' }).waitFor({ state: 'detached' });
});

it('goes through the account menu and into a dialog by keys, and back to where it was', async () => {
  const button = page.getByRole('button', { name: 'Account' });
  const item = (): Promise<string | null> => page.evaluate(() => document.activeElement?.getAttribute('role') === 'menuitem' ? document.activeElement.textContent : null);
  const onButton = (): Promise<boolean> => button.evaluate((element) => element === document.activeElement);
  await button.press('Enter');
  const first = await item();
  expect(first).not.toBeNull();
  await press('ArrowUp');
  expect(await item()).toBe('Sign out');
  await press('ArrowDown');
  expect(await item()).toBe(first);
  await press('End');
  expect(await item()).toBe('Sign out');
  await press('Home');
  expect(await item()).toBe(first);
  await press('Escape');
  expect(await onButton()).toBe(true);
  expect(await button.getAttribute('aria-expanded')).toBe('false');
  expect(await page.getByRole('menu').isVisible()).toBe(false);
  await press('ArrowDown');
  for (let n = 0; await item() !== 'Units and time zone'; n++) {
    if (n > 10) throw new Error('there are no settings in the menu');
    await press('ArrowDown');
  }
  await press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Units and time zone' });
  await dialog.getByLabel('Units').waitFor();
  // The focus goes round in it.
  for (let n = 0; n < 8; n++) {
    await press('Tab');
    expect(await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog') !== null)).toBe(true);
  }
  await press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await onButton()).toBe(true);
  await press('ArrowDown');
  await press('Tab');
  expect(await page.getByRole('menu').isVisible()).toBe(false);
  await nowhere();
});
