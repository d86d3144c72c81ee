/** Many vehicles at one spot. */

import { expect, it } from 'vitest';
import { VEHICLES, locate, page, panel } from '../stage';

it('lists all vehicles at one spot to choose from, and says how many it leaves out', async () => {
  await panel('vehicles');
  const device = await page.locator('.vehicle-row:visible').first().getAttribute('data-device') ?? '';
  const { lat, lon } = await locate(device);
  await page.getByRole('button', { name: 'Group: auto' }).click();
  await page.getByRole('button', { name: 'Group: always' }).click();
  // From so far away a town is one spot.
  const before = await page.evaluate(([a, b]) => {
    window.waystream?.setView(a, b, 3);
    return window.waystream?.frames ?? 0;
  }, [lat, lon] as const);
  // One that is on its way may be of the view before.
  await page.waitForFunction(([n, frames]) => (window.waystream?.inView ?? 0) > n && (window.waystream?.frames ?? 0) > frames + 2, [VEHICLES * 0.9, before] as const);
  const { x, y } = await page.evaluate(([a, b]) => window.waystream?.pointOf(a, b) ?? { x: 0, y: 0 }, [lat, lon] as const);
  await page.mouse.click(x, y);
  const title = await page.locator('.chooser-title').textContent() ?? '';
  const n = Number(/^[\d,]+/.exec(title)?.[0].replaceAll(',', ''));
  expect(n).toBeGreaterThan(12);
  expect(await page.locator('.chooser-row').count()).toBe(Math.min(n, 200));
  expect(await page.locator('.chooser-more').count()).toBe(n > 200 ? 1 : 0);
  // The last one can be reached, and chosen.
  const name = await page.locator('.chooser-row').last().textContent() ?? '';
  await page.locator('.chooser-row').last().click();
  const card = page.getByRole('complementary', { name: 'Vehicle details' });
  await card.locator('.card-title').filter({ hasText: name }).waitFor();
  await card.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('button', { name: 'Group: never' }).click();
  await page.getByRole('button', { name: 'Show all vehicles' }).click();
});
