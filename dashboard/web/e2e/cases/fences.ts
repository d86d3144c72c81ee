/** Geofences and the alerts that follow from them. */

import { readFile } from 'node:fs/promises';
import { type Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import type { GeofenceFeature } from '../../src/wire/types';
import { FENCE, browser, system, page, shot, panel, locate, mapPixels, fastest, withoutFences } from '../stage';

/** The middle of the fence that is drawn first. */
let yard = { lat: 0, lon: 0 };
const toYard = async (): Promise<void> => {
  await panel('fences');
  await page.evaluate(([a, b]) => window.waystream?.setView(a, b, 15), [yard.lat, yard.lon] as const);
};

it('raises an alert when a vehicle drives through a fence drawn by hand', async () => {
  await withoutFences(FENCE);
  const device = await (await fastest()).getAttribute('data-device') ?? '';
  const { lat, lon } = await locate(device);
  yard = { lat, lon };
  await toYard();
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

it('counts the vehicles inside of each geofence while the list is shown', async () => {
  await panel('fences');
  const counts = (): Promise<number[]> => page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('[data-fence]')].map((row) => Number(/([\d,.]+) inside/.exec(row.textContent ?? '')?.[1] ?? 0)));
  const before = await counts();
  await expect.poll(async () => Math.max(0, ...await counts()), { timeout: 30_000 }).toBeGreaterThan(0);
  await expect.poll(async () => (await counts()).join() !== before.join(), { timeout: 60_000 }).toBe(true);
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
  await toYard();
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

it('lists geofences by group, and hides a group on the map', async () => {
  await toYard();
  await page.getByRole('button', { name: `Edit ${FENCE}` }).click();
  await page.locator('.panel .form').getByLabel('Group', { exact: true }).fill('Yards');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('[data-group=Yards]').waitFor();
  expect(await page.locator('[data-group=Yards] + [data-fence]').textContent()).toContain(FENCE);
  const toggle = page.getByRole('button', { name: 'Show “Yards” on the map' });
  // Off the list's rows, which mark their geofence.
  await toggle.hover();
  const drawn = (): Promise<number> => mapPixels('.leaflet-fences-pane canvas');
  // What the mouse has left is drawn by then.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  const before = await drawn();
  await toggle.click();
  await expect.poll(drawn).not.toBe(before);
  expect(await toggle.getAttribute('aria-pressed')).toBe('false');
  await toggle.click();
  await expect.poll(drawn).toBe(before);
  expect(await toggle.getAttribute('aria-pressed')).toBe('true');
  const { features } = await (await page.request.get(`${system.origin}/api/geofences`)).json() as { features: GeofenceFeature[] };
  expect(features.find((f) => f.properties.name === FENCE)?.properties.group).toBe('Yards');
});

it('keeps the focus in the list whatever becomes of the others, and goes through it by keys', async () => {
  const OTHER = 'Added beside';
  await withoutFences(OTHER);
  await panel('fences');
  const row = (name: string): Locator => page.locator('[data-fence]').filter({ hasText: name }).locator('.list-main');
  const hasFocus = (name: string): Promise<boolean> => row(name).evaluate((button) => button === document.activeElement);
  await row(FENCE).focus();
  const data = { type: 'Feature', properties: { name: OTHER, radius_m: 50 }, geometry: { type: 'Point', coordinates: [-30, 11] } };
  expect((await page.request.post(`${system.origin}/api/geofences`, { headers: { 'x-waystream': '1' }, data })).status()).toBe(201);
  await row(OTHER).waitFor();
  expect(await hasFocus(FENCE)).toBe(true);
  const line = (which: 'first' | 'last'): Promise<boolean> => page.evaluate((end) => {
    const lines = document.activeElement?.closest('.tall-list')?.children ?? [];
    return lines[end === 'first' ? 0 : lines.length - 1]?.contains(document.activeElement) === true;
  }, which);
  await page.keyboard.press('Home');
  expect(await line('first')).toBe(true);
  await page.keyboard.press('End');
  expect(await line('last')).toBe(true);
  // Who is gone leaves it to who is beside.
  await row(OTHER).focus();
  await withoutFences(OTHER);
  await row(OTHER).waitFor({ state: 'detached' });
  expect(await page.evaluate(() => document.activeElement?.closest('.tall-list li') != null)).toBe(true);
});

it('says at the place what is wrong with a fence', async () => {
  await toYard();
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
  await withoutFences('Test circle');
  const other = await page.context().newPage();
  await other.goto(system.origin);
  await other.waitForFunction(() => (window.waystream?.stats?.link) === 'online');
  const before = await other.evaluate(() => window.waystream?.fences ?? 0);
  await page.bringToFront();
  await toYard();
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
  await withoutFences('Test corridor');
  await toYard();
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
  await form.getByRole('button', { name: 'Colour #7c3aed' }).click();
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
    width_m: 80, colour: '#7c3aed', exit_margin_m: 20, speed_limit_mps: expect.closeTo(50 / 3.6, 3), cross: true, schedule: { time_zone: 'Europe/Warsaw', hours: ['mon-fri 08:00-18:00', 'sat 08:00-12:00'] },
  });
});

it('draws a circle and a corridor by finger', async () => {
  await withoutFences('Finger circle', 'Finger corridor');
  const context = await browser.newContext({ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true });
  await context.addCookies((await page.context().cookies()).map((cookie) => ({ ...cookie, secure: false })));
  // A pop-up may lie where the finger goes.
  await context.addInitScript(() => localStorage.setItem('waystream.toasts', 'off'));
  const phone = await context.newPage();
  // Nobody drives here.
  await phone.goto(`${system.origin}/#14/10/10?panel=none`);
  await phone.waitForFunction(() => window.waystream?.stats?.link === 'online');
  const hand = await context.newCDPSession(phone);
  const finger = async (type: 'touchStart' | 'touchMove' | 'touchEnd', ...touchPoints: { x: number; y: number }[]): Promise<void> => {
    await hand.send('Input.dispatchTouchEvent', { type, touchPoints });
  };
  const saved = async (name: string): Promise<GeofenceFeature> => {
    await phone.locator('.panel .form').getByRole('textbox', { name: 'Name' }).fill(name);
    const save = phone.getByRole('button', { name: 'Save' });
    await save.scrollIntoViewIfNeeded();
    // A tap on what still scrolls only holds it.
    await phone.waitForTimeout(500);
    await save.tap();
    await phone.locator('[data-fence]').filter({ hasText: name }).waitFor();
    const { features } = await (await page.request.get(`${system.origin}/api/geofences`)).json() as { features: GeofenceFeature[] };
    const fence = features.find((f) => f.properties.name === name);
    if (!fence) throw new Error(`${name} was not saved`);
    return fence;
  };
  await phone.locator('[data-panel=fences]').tap();
  await phone.locator('[data-draw=circle]').tap();
  await phone.locator('.map.drawing').waitFor();
  await finger('touchStart', { x: 190, y: 220 });
  for (const x of [200, 215, 235, 260]) await finger('touchMove', { x, y: 220 });
  await finger('touchEnd');
  const circle = await saved('Finger circle');
  expect(circle.geometry.type).toBe('Point');
  // 70 px of 9.4 m.
  expect(circle.properties.radius_m).toBeGreaterThan(550);
  expect(circle.properties.radius_m).toBeLessThan(750);
  await phone.locator('[data-draw=corridor]').tap();
  await phone.locator('.map.drawing').waitFor();
  for (const x of [120, 200, 280]) {
    await phone.touchscreen.tap(x, 200);
    // Two taps within 200 ms are a double tap, wherever they are.
    await phone.waitForTimeout(300);
  }
  await phone.getByRole('button', { name: 'Undo' }).tap();
  await phone.getByRole('button', { name: 'Finish' }).tap();
  expect((await saved('Finger corridor')).geometry.coordinates).toHaveLength(2);
  await context.close();
});

it('imports GeoJSON, KML and well-known text, exports what there is, and says what is wrong with a file', async () => {
  const kinds = ['hole', 'circle', 'corridor'];
  await withoutFences(...kinds.flatMap((kind) => [`Imported ${kind}`, `Changed ${kind}`]), 'Imported KML', 'Imported text');
  await panel('fences');
  const rows = page.locator('[data-fence]');
  const before = await rows.count();
  const give = (name: string, text: string): Promise<void> =>
    page.locator('.panel input[type=file]').setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });
  const told = (text: RegExp): Promise<void> => page.locator('.toast').filter({ hasText: text }).last().waitFor();
  const feature = (properties: object, type: string, coordinates: unknown): object => ({ type: 'Feature', properties, geometry: { type, coordinates } });
  // In the Atlantic, where nobody drives.
  const square = (from: number, to: number): number[][] => [[-30 + from, from], [-30 + to, from], [-30 + to, to], [-30 + from, to], [-30 + from, from]];
  const given = [
    feature({ name: 'Imported hole', colour: '#be185d', group: 'Imported' }, 'Polygon', [square(0, 1), square(0.25, 0.75)]),
    feature({ name: 'Imported circle', radius_m: 250 }, 'Point', [-30, 2]),
    feature({
      name: 'Imported corridor', width_m: 80, exit_margin_m: 20, schedule: { time_zone: 'Europe/Warsaw', hours: ['mon-fri 08:00-18:00'] },
    }, 'LineString', [[-30, 3], [-29.5, 3.25], [-29, 3]]),
  ];
  await give('fences.geojson', JSON.stringify({ type: 'FeatureCollection', features: given }));
  await told(/3 geofences imported/);
  await rows.filter({ hasText: 'Imported corridor' }).filter({ hasText: '80 m wide' }).waitFor();
  const download = async (): Promise<{ type: string; features: GeofenceFeature[] }> => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export GeoJSON' }).click()]);
    return JSON.parse(await readFile(await file.path(), 'utf8')) as { type: string; features: GeofenceFeature[] };
  };
  const exported = await download();
  expect(exported.features).toHaveLength(before + 3);
  const of = ({ features }: { features: GeofenceFeature[] }, name: string): GeofenceFeature => {
    const found = features.find((f) => f.properties.name === name);
    if (!found) throw new Error(`${name} was not exported`);
    return found;
  };
  const hole = of(exported, 'Imported hole');
  expect(hole.properties).toMatchObject({ colour: '#be185d', group: 'Imported' });
  expect((hole.geometry.coordinates as number[][][]).map((ring) => new Set(ring.map(String)).size)).toEqual([4, 4]);
  expect(of(exported, 'Imported circle')).toMatchObject({ geometry: { type: 'Point', coordinates: [-30, 2] }, properties: { radius_m: 250 } });
  expect(of(exported, 'Imported corridor')).toMatchObject({
    geometry: { type: 'LineString', coordinates: [[-30, 3], [-29.5, 3.25], [-29, 3]] },
    properties: { width_m: 80, exit_margin_m: 20, schedule: { time_zone: 'Europe/Warsaw', hours: ['mon-fri 08:00-18:00'] } },
  });
  // What was exported, changed and put back are the same geofences.
  const imported = exported.features.filter((f) => f.properties.name.startsWith('Imported'));
  await give('changed.geojson', JSON.stringify({
    type: 'FeatureCollection', features: imported.map((f) => ({ ...f, properties: { ...f.properties, name: f.properties.name.replace('Imported', 'Changed') } })),
  }));
  await rows.filter({ hasText: 'Changed corridor' }).waitFor();
  expect(await rows.count()).toBe(before + 3);
  expect(of(await download(), 'Changed hole').geometry).toEqual(hole.geometry);

  const ring = '-30,5 -29,5 -29,6 -30,5';
  await give('fences.kml', `<kml><Placemark><name>Imported KML</name><Polygon><outerBoundaryIs><LinearRing><coordinates>${ring}</coordinates>`
    + '</LinearRing></outerBoundaryIs></Polygon></Placemark></kml>');
  await rows.filter({ hasText: 'Imported KML' }).waitFor();
  await give('fences.wkt', 'Imported text;POLYGON((-30 7,-29 7,-29 8,-30 7))');
  await rows.filter({ hasText: 'Imported text' }).waitFor();
  // One of two crosses itself: neither is there.
  const bow = feature({ name: 'Imported bow' }, 'Polygon', [[[-30, 9], [-29, 10], [-29, 9], [-30, 10], [-30, 9]]]);
  await give('broken.geojson', JSON.stringify({ type: 'FeatureCollection', features: [feature({ name: 'Imported beside', radius_m: 9 }, 'Point', [-30, 9]), bow] }));
  await told(/feature 1.*crosses/);
  await give('cut.kml', '<kml><Placemark><name>Imported cut</name>');
  await told(/cut off/);
  expect(await rows.count()).toBe(before + 5);

  const gone = (await download()).features.filter((f) => /^(Imported|Changed) /.test(f.properties.name)).map((f) => f.properties.id);
  expect(gone).toHaveLength(5);
  await page.evaluate(async (ids) => {
    for (const id of ids) await fetch(`api/geofences/${id}`, { method: 'DELETE', headers: { 'x-waystream': '1' } });
  }, gone);
  await expect.poll(() => rows.count()).toBe(before);
});
