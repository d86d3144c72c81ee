/** The feed of alerts as it is after a while. */

import type { Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import { NOTABLE_KINDS } from '../../src/panels/feed';
import type { EventsAnswer } from '../../src/wire/types';
import { page, panel, system, vehiclesShown } from '../stage';

it('begins with alerts however many everyday events came after them, and shows older ones', async () => {
  const { events } = await (await page.request.get(`${system.origin}/api/events?limit=1000&kind=${NOTABLE_KINDS}`)).json() as EventsAnswer;
  const known = new Set(events.map((e) => e.event_id)).size;
  expect(known).toBeGreaterThan(0);
  await page.reload();
  await vehiclesShown();
  await panel('alerts');
  const rows = page.locator('[data-event]');
  await rows.first().waitFor();
  const older = page.getByRole('button', { name: 'Show older' });
  for (let k = 0; k < 3 && await older.isVisible(); k++) {
    const before = await rows.count();
    await older.click();
    await expect.poll(async () => await rows.count() > before || !(await older.isVisible()), { timeout: 30_000 }).toBe(true);
  }
  expect(await rows.count()).toBeGreaterThanOrEqual(Math.min(known, 400));
  // Everyday events are asked for when somebody wants them.
  const everyday = await (await page.request.get(`${system.origin}/api/events?limit=1&kind=moving,stopped,trip_start,trip_end,ignition_on,ignition_off`)).json() as EventsAnswer;
  await page.getByLabel('Kind').selectOption(everyday.events[0]?.kind ?? '*');
  await rows.first().waitFor();
  await page.getByLabel('Kind').selectOption('');
});

it('narrows alerts down to a fleet, a vehicle, a time, or to those that are acknowledged', async () => {
  await panel('alerts');
  const body = page.locator('.panel-body:visible');
  const rows = body.locator('[data-event]');
  const choice = (name: string): Locator => body.getByRole('combobox', { name });
  const listed = (): Promise<string[]> => rows.evaluateAll((items) => items.map((item) => (item as HTMLElement).dataset['event'] ?? ''));
  await body.getByText('Narrow down').click();
  const ofFleet = async (more: Record<string, string>): Promise<EventsAnswer['events']> =>
    ((await (await page.request.get(`${system.origin}/api/events`, { params: { kind: NOTABLE_KINDS, ...more } })).json()) as EventsAnswer).events;
  const [{ fleet }] = await ofFleet({ limit: '1' });
  await choice('Fleet').selectOption(fleet);
  await expect.poll(async () => {
    const own = new Set((await ofFleet({ fleet, limit: '1000' })).map((e) => e.event_id));
    const shown = await listed();
    return shown.length > 0 && shown.every((id) => own.has(id));
  }, { timeout: 30_000 }).toBe(true);
  // Whose row is clicked can be chosen.
  const some = body.locator(`[data-event="${(await listed())[0]}"]`);
  const name = await some.locator('.row-name').textContent() ?? '';
  await some.locator('.list-main').click();
  await choice('Vehicle').selectOption({ label: name });
  await expect.poll(() => rows.locator('.row-name').evaluateAll((names) => [...new Set(names.map((each) => each.textContent))]), { timeout: 30_000 }).toEqual([name]);
  await page.waitForURL(/alerts_device=/);
  await choice('Vehicle').selectOption('');
  await choice('Fleet').selectOption('');

  const until = await page.evaluate(() => {
    const at = Math.floor(Date.now() / 1000) * 1000 - 60_000;
    return { at, local: new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19) };
  });
  const to = body.getByLabel('To', { exact: true });
  await to.fill(until.local);
  await to.blur();
  await expect.poll(async () => {
    const times = await rows.locator('time').evaluateAll((all) => all.map((each) => Date.parse((each as HTMLTimeElement).dateTime)));
    return times.length > 0 && times.every((time) => time <= until.at);
  }, { timeout: 30_000 }).toBe(true);
  await to.fill('');
  await to.blur();

  const id = (await listed())[0];
  const row = body.locator(`[data-event="${id}"]`);
  await row.getByRole('button', { name: 'Acknowledge', exact: true }).click();
  await choice('Status').selectOption('acknowledged');
  await expect.poll(listed, { timeout: 30_000 }).toContain(id);
  expect(await rows.count()).toBe(await body.locator('.acknowledged').count());
  await choice('Status').selectOption('open');
  await row.waitFor({ state: 'detached' });
  // As seen to and then taken back, it is where it was.
  await choice('Status').selectOption('acknowledged');
  await row.getByRole('button', { name: 'Take the acknowledgement back' }).click();
  await row.waitFor({ state: 'detached' });
  await choice('Status').selectOption('');
  await body.getByText('Narrow down').click();
  await page.getByRole('complementary', { name: 'Vehicle details' }).getByRole('button', { name: 'Close' }).click();
});
