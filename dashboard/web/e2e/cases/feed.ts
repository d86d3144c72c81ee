/** The feed of alerts as it is after a while. */

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
