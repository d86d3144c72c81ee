/** Several people who edit, and one whose connection was lost meanwhile. */

import { expect, it } from 'vitest';
import type { GeofenceCollection, GeofenceProperties } from '../../src/wire/types';
import { proxyWithoutWebSocket } from '../proxy';
import { browser, page, panel, system } from '../stage';

/** What the signed-in user does past the page's own editors. Answers the status and the body. */
const ask = (method: string, path: string, body?: unknown): Promise<{ status: number; answer: unknown }> => page.evaluate(async ([how, where, what]) => {
  const response = await fetch(`api/${where}`, {
    method: how, headers: { 'x-waystream': '1', 'content-type': 'application/json' }, ...(what === '' ? {} : { body: what }),
  });
  const text = await response.text();
  return { status: response.status, answer: text === '' ? null : JSON.parse(text) as unknown };
}, [method, path, body === undefined ? '' : JSON.stringify(body)] as const);

/** As somebody else would change a geofence. Answers the status. */
async function change(name: string, properties: Partial<GeofenceProperties>): Promise<number> {
  const { features } = (await ask('GET', 'geofences')).answer as GeofenceCollection;
  const fence = features.find((f) => f.properties.name === name);
  if (!fence) throw new Error(`there is no geofence ${name}`);
  return (await ask('PUT', `geofences/${fence.properties.id}`, { ...fence, properties: { ...fence.properties, ...properties } })).status;
}

it('shows after a break what was edited meanwhile, and what the user may do now', async () => {
  const { path } = (await ask('POST', 'users', { id: 'otto', role: 'dispatcher' })).answer as { path: string };
  const proxy = await proxyWithoutWebSocket(system.origin);
  const context = await browser.newContext();
  const other = await context.newPage();
  await other.goto(`${proxy.origin}${path}`);
  await other.getByRole('button', { name: 'Later' }).click();
  await other.waitForFunction(() => window.waystream?.stats?.link === 'online', null, { timeout: 60_000 });
  await other.locator('[data-panel=fences]').click();
  await other.getByRole('button', { name: 'Edit Test circle' }).waitFor();
  proxy.close();
  await other.waitForFunction(() => window.waystream?.stats?.link === 'lost', null, { timeout: 60_000 });
  expect(await change('Test circle', { name: 'Moved circle' })).toBe(200);
  expect((await ask('PUT', 'users/otto', { role: 'viewer' })).status).toBe(204);
  const back = await proxyWithoutWebSocket(system.origin, Number(new URL(proxy.origin).port));
  await other.locator('[data-fence]').filter({ hasText: 'Moved circle' }).waitFor({ timeout: 60_000 });
  expect(await other.getByRole('button', { name: 'Edit Moved circle' }).count()).toBe(0);
  expect(await other.locator('[data-draw=polygon]').isVisible()).toBe(false);
  await context.close();
  back.close();
  expect((await ask('DELETE', 'users/otto')).status).toBe(204);
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
