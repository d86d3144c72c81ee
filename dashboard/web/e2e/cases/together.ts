/** Several people who edit, and one whose connection was lost meanwhile. */

import { expect, it } from 'vitest';
import type { GeofenceCollection, GeofenceProperties } from '../../src/wire/types';
import { proxyWithoutWebSocket } from '../proxy';
import { browser, page, panel, system } from '../stage';

/** What somebody else changes of a geofence, past the page's own editor. Answers the status. */
const change = (name: string, properties: Partial<GeofenceProperties>): Promise<number> => page.evaluate(async ([of, to]) => {
  const { features } = await (await fetch('api/geofences')).json() as GeofenceCollection;
  const fence = features.find((f) => f.properties.name === of);
  if (!fence) throw new Error(`there is no geofence ${of}`);
  const { status } = await fetch(`api/geofences/${fence.properties.id}`, {
    method: 'PUT', headers: { 'x-waystream': '1', 'content-type': 'application/json' },
    body: JSON.stringify({ ...fence, properties: { ...fence.properties, ...to } }),
  });
  return status;
}, [name, properties] as const);

it('shows after a break what was edited meanwhile', async () => {
  const proxy = await proxyWithoutWebSocket(system.origin);
  const context = await browser.newContext();
  await context.addCookies((await page.context().cookies()).map((cookie) => ({ ...cookie, secure: false })));
  const other = await context.newPage();
  await other.goto(proxy.origin);
  await other.waitForFunction(() => window.waystream?.stats?.link === 'online', null, { timeout: 60_000 });
  await other.locator('[data-panel=fences]').click();
  await other.locator('[data-fence]').filter({ hasText: 'Test circle' }).waitFor();
  proxy.close();
  await other.waitForFunction(() => window.waystream?.stats?.link === 'lost', null, { timeout: 60_000 });
  expect(await change('Test circle', { name: 'Moved circle' })).toBe(200);
  const back = await proxyWithoutWebSocket(system.origin, Number(new URL(proxy.origin).port));
  await other.locator('[data-fence]').filter({ hasText: 'Moved circle' }).waitFor({ timeout: 60_000 });
  await context.close();
  back.close();
});

it('does not undo what somebody else changed while a geofence was edited', async () => {
  await panel('fences');
  await page.getByRole('button', { name: 'Edit Moved circle' }).click();
  const form = page.locator('.panel .form');
  await form.getByRole('textbox', { name: 'Name' }).fill('My circle');
  expect(await change('Moved circle', { name: 'Test circle' })).toBe(200);
  await form.getByText('Somebody has changed this geofence meanwhile').waitFor();
  await form.getByRole('button', { name: 'Save' }).click();
  await form.getByRole('alert').filter({ hasText: 'meanwhile' }).waitFor();
  await form.getByRole('button', { name: 'Cancel' }).click();
  await page.locator('[data-fence]').filter({ hasText: 'Test circle' }).waitFor();
  expect(await page.locator('[data-fence]').filter({ hasText: /My circle|Moved circle/ }).count()).toBe(0);
});
