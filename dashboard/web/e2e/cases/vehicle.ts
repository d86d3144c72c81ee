/** All about one vehicle: what happened to it, what it is told. */

import { type Locator, type Page } from 'playwright-core';
import { expect, it } from 'vitest';
import type { DeviceDetails } from '../../src/wire/types';
import { ask, dotIsCentral, page, panel, shot, system } from '../stage';

const card = (): Locator => page.getByRole('complementary', { name: 'Vehicle details' });

async function open(device: string): Promise<void> {
  await panel('vehicles');
  await page.locator('[data-search]').fill(device);
  // Until then rows are still put in other places.
  await page.waitForFunction(() => window.waystream?.stats?.matching === 1);
  await page.locator(`.vehicle-row[data-device="${device}"]:visible`).click();
  await card().getByText('Protocol').waitFor();
}

async function close(): Promise<void> {
  await card().getByRole('button', { name: 'Close' }).click();
  await page.locator('[data-search]').fill('');
}

/** Of the instruction that is chosen. */
const field = (): Locator => card().locator('.command-form input:visible');
const send = async (kind: string, fill: () => Promise<void> = async () => undefined): Promise<void> => {
  await card().getByRole('button', { name: 'Send a command…' }).click();
  await card().locator('.command-form select').first().selectOption(kind);
  await fill();
  await card().getByRole('button', { name: 'Send', exact: true }).click();
};

it('tells what happened to a vehicle, and at once what it is told', async () => {
  const [[device]] = await ask(`SELECT device FROM events WHERE device IN (SELECT device FROM latest_positions WHERE protocol = 'teltonika')
    GROUP BY device ORDER BY count(*) DESC LIMIT 1`);
  await open(String(device));
  const events = card().locator('[data-happened]');
  await events.first().waitFor();
  expect(await events.count()).toBeLessThanOrEqual(20);
  await send('text', () => field().fill('getinfo'));
  // It is connected: the command goes to it now.
  await card().locator('[data-command=sent], [data-command=answered]').filter({ hasText: 'getinfo' }).filter({ hasText: 'by admin' }).waitFor({ timeout: 60_000 });
  await card().locator('[data-happened=command_sent]').filter({ hasText: 'The maker’s command, as text' }).first().waitFor({ timeout: 30_000 });
  expect(await events.count()).toBeLessThanOrEqual(20);
  await card().locator('[data-command]').first().scrollIntoViewIfNeeded();
  await shot('17-commands');
  await close();
});

it('replays a trip that the details list, from before its start until after its end', async () => {
  const [[device, started, ended]] = await ask('SELECT device, started_at, ended_at FROM trips WHERE ended_at IS NOT NULL ORDER BY started_at DESC, device LIMIT 1');
  const [start, end] = [started, ended].map((time) => Date.parse(String(time)));
  await open(String(device));
  await card().locator(`[data-trip="${start}"]`).getByRole('button').click();
  await page.waitForFunction(() => window.waystream?.replay?.count === 1, null, { timeout: 60_000 });
  const { from, to } = await page.evaluate(() => window.waystream?.replay ?? { from: 0, to: 0 });
  expect(from).toBeLessThan(start);
  expect(to).toBeGreaterThan(end);
  // That trip, and not all that is known.
  expect(to - from).toBeLessThanOrEqual(end - start + 120_001);
  await card().getByText('In the replay', { exact: true }).waitFor();
  await page.getByRole('region', { name: 'Replay controls' }).getByRole('button', { name: 'Close' }).click();
  await page.waitForFunction(() => window.waystream?.replay === null);
  await panel('vehicles');
  await close();
});

it('takes a command back that waits for its vehicle, and says what is wrong with one', async () => {
  // Over HTTP nothing can be told: it waits.
  const [[device]] = await ask("SELECT device FROM latest_positions WHERE protocol = 'osmand' ORDER BY device LIMIT 1");
  await open(String(device));
  await card().getByText('None was given.').waitFor();
  await send('bytes', () => field().fill('0g'));
  await card().getByRole('alert').filter({ hasText: 'hexadecimal' }).waitFor();
  await card().locator('.command-form').getByRole('button', { name: 'Cancel' }).click();
  page.once('dialog', (question) => void question.dismiss());
  await send('engine_stop');
  await card().locator('.command-form').getByRole('button', { name: 'Cancel' }).click();
  await send('request_position');
  await card().locator('[data-command=queued]').filter({ hasText: 'Ask for its position' }).waitFor();
  await card().getByRole('button', { name: 'Take the command back' }).click();
  await card().locator('[data-command=cancelled]').filter({ hasText: 'taken back' }).waitFor();
  // Who decided not to stop the engine has not.
  expect(await card().locator('[data-command]').count()).toBe(1);
  await close();
});

it('tells what a vehicle said once, and when, also as of a moment of a replay', async () => {
  const [[id, lat, lon]] = await ask("SELECT device, lat, lon FROM latest_positions WHERE protocol = 'osmand' ORDER BY device DESC LIMIT 1");
  const device = String(id);
  const at = Math.floor(Date.now() / 1000);
  expect((await fetch(`http://${system.osmand}/?id=${device}&lat=${String(lat)}&lon=${String(lon)}&timestamp=${at}&cargo_note=eggs`)).status).toBe(200);
  // Its own reports have no such thing, and come every few seconds.
  await expect.poll(async () => {
    const { position } = (await (await page.request.get(`${system.origin}/api/devices/${device}`)).json()) as DeviceDetails;
    return position !== null && position.fix_time > at * 1000 && !('cargo_note' in position.attributes);
  }, { timeout: 60_000 }).toBe(true);
  const note = (of: Page): Locator => of.locator('.attributes dt[title=cargo_note] + dd');
  await open(device);
  await note(page).filter({ hasText: /^eggs \d+ (s|min)$/ }).waitFor({ timeout: 30_000 });
  await shot('17-attributes');
  await close();

  const replayed = await page.context().newPage();
  await replayed.goto(`${system.origin}/#?panel=none&replay=${device}&from=${(at - 600) * 1000}&to=${(at + 5) * 1000}`);
  await replayed.waitForFunction(() => (window.waystream?.replay?.count ?? 0) === 1, null, { timeout: 60_000 });
  const dock = replayed.getByRole('region', { name: 'Replay controls' });
  await dock.getByRole('button', { name: 'Pause' }).click();
  await replayed.locator('.attributes dt').first().waitFor();
  expect(await note(replayed).count()).toBe(0);
  await dock.getByLabel('Moment').press('End');
  await note(replayed).filter({ hasText: 'eggs' }).waitFor({ timeout: 30_000 });
  await dock.getByLabel('Moment').press('Home');
  await note(replayed).waitFor({ state: 'detached', timeout: 30_000 });
  await replayed.close();
});

it('leads from a moment of the speed chart to its place, by mouse and by keys', async () => {
  const [[device]] = await ask('SELECT device FROM positions WHERE valid GROUP BY device ORDER BY max(lat) - min(lat) DESC LIMIT 1');
  await open(String(device));
  const chart = card().getByRole('slider');
  const dot = page.locator('.place-dot');
  await chart.locator('.u-over').waitFor();
  await chart.locator('.u-over').hover();
  await dot.waitFor();
  await card().locator('.chart-readout').filter({ hasText: / · \d+ km\/h$/ }).waitFor();
  await shot('17-moment');
  await chart.locator('.u-over').click();
  await expect.poll(dotIsCentral, { timeout: 30_000 }).toBe(true);
  const first = await chart.getAttribute('aria-valuetext');
  await page.mouse.move(2, 2);
  await dot.waitFor({ state: 'detached' });
  await chart.press('Home');
  expect(await chart.getAttribute('aria-valuenow')).toBe('0');
  await chart.press('ArrowRight');
  expect(Number(await chart.getAttribute('aria-valuenow'))).toBeGreaterThan(0);
  expect(await chart.getAttribute('aria-valuetext')).not.toBe(first);
  await chart.press('End');
  await chart.press('Enter');
  await expect.poll(dotIsCentral, { timeout: 30_000 }).toBe(true);
  await close();
  await dot.waitFor({ state: 'detached' });
});
