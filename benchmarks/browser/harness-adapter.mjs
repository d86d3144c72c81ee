/** How the measuring harness drives our dashboard; see `map.mjs`. */

import { useBrowsersMouse } from './mouse.mjs';

const PASSWORD = 'only for this measurement';

/** Signs in by the one-time link, and notes every second how old positions were when they were taken over (server and page share a clock). */
export async function init(page, { link }) {
  await useBrowsersMouse(page);
  await page.request.get(link);
  await page.addInitScript(() => {
    window.ages = [];
    setInterval(() => {
      const age = window.waystream?.stats?.ageP99;
      if (typeof age === 'number') window.ages.push(age);
    }, 1000);
  });
}

/** All vehicles are there and nothing covers the map. */
export async function ready(page, { vehicles }) {
  await page.locator('dialog input[type=password]').fill(PASSWORD);
  await page.locator('dialog button[type=submit]').click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  // The harness drags all over the page.
  await page.locator('.panel-head button').click();
  await page.waitForFunction((n) => (window.waystream?.stats?.count ?? 0) >= n, Number(vehicles), { polling: 100 });
}

export function setView(page, { lat, lng, zoom }) {
  return page.evaluate(([a, b, z]) => window.waystream.setView(a, b, z), [lat, lng, zoom]);
}

export function counters(page) {
  return page.evaluate(() => {
    const { stats, frames, inView } = window.waystream;
    const ages = window.ages.splice(0);
    return { applied: stats.applied, draws: frames, shown: inView, lagP95: ages.length > 0 ? Math.round(Math.max(...ages)) : null };
  });
}
