/** Telling others: channels, rules, reports, and what has become of it. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import { FENCE, VEHICLES, mail, page, panel, shot } from '../stage';

const dialog = (): Locator => page.getByRole('dialog', { name: 'Notifications' });
const shown = (): Locator => dialog().locator('.tab-page:visible');
const tab = (name: string): Promise<void> => dialog().locator(`[data-tab=${name}]`).click();
/** Until something is listed that was not when it was asked for. */
const refreshed = (row: Locator): Promise<void> => expect.poll(async () => {
  await shown().getByRole('button', { name: 'Refresh' }).click();
  return row.count();
}, { timeout: 60_000 }).toBeGreaterThan(0);

async function newReport(name: string, fields: { about: string; at: string; as: string }): Promise<void> {
  await shown().getByRole('button', { name: 'New report' }).click();
  await shown().getByLabel('Name', { exact: true }).fill(name);
  await shown().getByLabel('About').selectOption(fields.about);
  await shown().getByLabel('Sent at').fill(fields.at);
  await shown().getByLabel('Attached as').selectOption(fields.as);
  await shown().getByRole('button', { name: 'Save' }).click();
}

it('takes reports that are sent by themselves, and lists them', async () => {
  await panel('alerts');
  await page.getByRole('button', { name: 'Notifications…' }).click();
  await tab('channels');
  await shown().getByRole('button', { name: 'New channel' }).click();
  await shown().getByLabel('Name', { exact: true }).fill('Office');
  await shown().getByLabel('Kind').selectOption('email');
  await shown().getByLabel('Recipients').fill('office@example.org');
  await shown().getByRole('button', { name: 'Save' }).click();
  await shown().locator('[data-item]').filter({ hasText: 'Office' }).waitFor();
  await tab('reports');
  // Its time has passed today: it is sent the next time that somebody looks, of which the last of these tests sees the end.
  await newReport('Yesterday', { about: 'day', at: '00:00', as: 'csv' });
  await shown().locator('[data-item]').filter({ hasText: 'Yesterday' }).filter({ hasText: /The day before · Each vehicle · 00:00 .* · CSV · → Office/ }).waitFor();
  await newReport('All vehicles', { about: 'week', at: '06:30', as: 'xlsx' });
  await shown().locator('[data-item]').filter({ hasText: 'The week before, on Mondays · Each vehicle · 06:30' }).filter({ hasText: 'Excel workbook · → Office' }).waitFor();
  page.once('dialog', (question) => void question.accept());
  await shown().getByRole('button', { name: 'Delete All vehicles' }).click();
  await shown().locator('[data-item]').filter({ hasText: 'All vehicles' }).waitFor({ state: 'detached' });
  await dialog().getByRole('button', { name: 'Close' }).click();
});

it('tells a web server of alerts by a rule, and shows what became of it', async () => {
  const told: { test: boolean; headline: string }[] = [];
  let willing = false;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (willing) told.push(JSON.parse(Buffer.concat(parts).toString()) as typeof told[0]);
      response.writeHead(willing ? 204 : 410).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  await panel('alerts');
  await page.getByRole('button', { name: 'Notifications…' }).click();
  await tab('channels');
  await shown().getByRole('button', { name: 'New channel' }).click();
  await shown().getByLabel('Name', { exact: true }).fill('Dispatch');
  await shown().getByLabel('Address').fill(`http://127.0.0.1:${address.port}/hook`);
  await shown().getByLabel('Secret').fill('short');
  await shown().getByRole('button', { name: 'Save' }).click();
  await shown().getByRole('alert').filter({ hasText: 'secret' }).waitFor();
  await shown().getByLabel('Secret').fill('a secret between two');
  await shown().getByRole('button', { name: 'Save' }).click();
  await shown().locator('[data-item]').filter({ hasText: 'Dispatch' }).waitFor();

  await shown().getByRole('button', { name: 'Send a test over Dispatch' }).click();
  await tab('deliveries');
  await refreshed(shown().locator('[data-state=dead]'));
  await shown().locator('[data-state=dead]').filter({ hasText: '410' }).waitFor();
  willing = true;
  await shown().getByRole('button', { name: 'Try again' }).click();
  await refreshed(shown().locator('[data-state=delivered]').filter({ hasText: 'This is a test' }));
  expect(told.map(({ test }) => test)).toEqual([true]);

  await tab('rules');
  await shown().getByRole('button', { name: 'New rule' }).click();
  await shown().getByLabel('Name', { exact: true }).fill('Test yard only');
  await shown().getByText('Only about these geofences').click();
  await shown().getByLabel(FENCE, { exact: true }).check();
  await shown().getByLabel('Nothing is told in these hours').fill('at night');
  await shot('12-rule');
  await shown().getByRole('button', { name: 'Save' }).click();
  await shown().getByRole('alert').filter({ hasText: 'at night' }).waitFor();
  await shown().getByLabel('Nothing is told in these hours').fill('');
  await shown().getByRole('button', { name: 'Save' }).click();
  await shown().locator('[data-item]').filter({ hasText: 'Enter, Exit · → Dispatch' }).waitFor();
  await expect.poll(() => told.filter(({ test }) => !test).length, { timeout: 90_000 }).toBeGreaterThan(0);
  for (const { headline } of told.slice(1)) expect(headline).toMatch(new RegExp(`(entered|left) ${FENCE}`));

  await tab('deliveries');
  await refreshed(shown().locator('[data-state=delivered]').filter({ hasText: 'Test yard' }));
  await shot('13-deliveries');
  await tab('rules');
  page.once('dialog', (question) => void question.accept());
  await shown().getByRole('button', { name: 'Delete Test yard only' }).click();
  await shown().getByText('No rules yet').waitFor();

  await dialog().getByRole('button', { name: 'Close' }).click();
  server.close();
});

it('has sent the report whose time had passed, with each vehicle in its file', async () => {
  await panel('alerts');
  await page.getByRole('button', { name: 'Notifications…' }).click();
  await tab('deliveries');
  await refreshed(shown().locator('[data-state=delivered]').filter({ hasText: /Yesterday: \d{4}-\d\d-\d\d/ }));
  const [[name, text]] = [...await mail.files()];
  expect(name).toMatch(/^report-\d{4}-\d\d-\d\d\.csv$/);
  const lines = text.trim().split('\n');
  expect(lines[0]).toMatch(/^device,name,fleet,distance_km,driving_min,/);
  expect(lines.length).toBeGreaterThan(VEHICLES);
  await tab('reports');
  page.once('dialog', (question) => void question.accept());
  await shown().getByRole('button', { name: 'Delete Yesterday' }).click();
  await shown().getByText('No reports.').waitFor();
  await dialog().getByRole('button', { name: 'Close' }).click();
});
