/** Telling others: channels, rules, and what has become of it. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { FENCE, page, panel, shot } from '../stage';

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
  const dialog = page.getByRole('dialog', { name: 'Notifications' });
  const tab = (name: string): Promise<void> => dialog.locator(`[data-tab=${name}]`).click();
  const shown = dialog.locator('.tab-page:visible');
  await tab('channels');
  await shown.getByRole('button', { name: 'New channel' }).click();
  await shown.getByLabel('Name', { exact: true }).fill('Dispatch');
  await shown.getByLabel('Address').fill(`http://127.0.0.1:${address.port}/hook`);
  await shown.getByLabel('Secret').fill('short');
  await shown.getByRole('button', { name: 'Save' }).click();
  await shown.getByRole('alert').filter({ hasText: 'secret' }).waitFor();
  await shown.getByLabel('Secret').fill('a secret between two');
  await shown.getByRole('button', { name: 'Save' }).click();
  await shown.locator('[data-item]').filter({ hasText: 'Dispatch' }).waitFor();

  await shown.getByRole('button', { name: 'Send a test over Dispatch' }).click();
  await tab('deliveries');
  const refreshed = async (row: string): Promise<void> => {
    await expect.poll(async () => {
      await shown.getByRole('button', { name: 'Refresh' }).click();
      return shown.locator(row).count();
    }, { timeout: 30_000 }).toBeGreaterThan(0);
  };
  await refreshed('[data-state=dead]');
  await shown.locator('[data-state=dead]').filter({ hasText: '410' }).waitFor();
  willing = true;
  await shown.getByRole('button', { name: 'Try again' }).click();
  await refreshed('[data-state=delivered]');
  expect(told.map(({ test }) => test)).toEqual([true]);

  await tab('rules');
  await shown.getByRole('button', { name: 'New rule' }).click();
  await shown.getByLabel('Name', { exact: true }).fill('Test yard only');
  await shown.getByText('Only about these geofences').click();
  await shown.getByLabel(FENCE, { exact: true }).check();
  await shown.getByLabel('Nothing is told in these hours').fill('at night');
  await shot('12-rule');
  await shown.getByRole('button', { name: 'Save' }).click();
  await shown.getByRole('alert').filter({ hasText: 'at night' }).waitFor();
  await shown.getByLabel('Nothing is told in these hours').fill('');
  await shown.getByRole('button', { name: 'Save' }).click();
  await shown.locator('[data-item]').filter({ hasText: 'Enter, Exit · → Dispatch' }).waitFor();
  await expect.poll(() => told.filter(({ test }) => !test).length, { timeout: 90_000 }).toBeGreaterThan(0);
  for (const { headline } of told.slice(1)) expect(headline).toMatch(new RegExp(`(entered|left) ${FENCE}`));

  await tab('deliveries');
  await refreshed('[data-state=delivered]:has-text("Test yard")');
  await shot('13-deliveries');
  await tab('rules');
  page.once('dialog', (question) => void question.accept());
  await shown.getByRole('button', { name: 'Delete Test yard only' }).click();
  await shown.getByText('No rules yet').waitFor();

  await tab('channels');
  await shown.getByRole('button', { name: 'New channel' }).click();
  await shown.getByLabel('Name', { exact: true }).fill('Office');
  await shown.getByLabel('Kind').selectOption('email');
  await shown.getByLabel('Recipients').fill('office@example.org');
  await shown.getByRole('button', { name: 'Save' }).click();
  await shown.locator('[data-item]').filter({ hasText: 'Office' }).waitFor();
  await tab('reports');
  await shown.getByRole('button', { name: 'New report' }).click();
  await shown.getByLabel('Name', { exact: true }).fill('All vehicles');
  await shown.getByLabel('About').selectOption('week');
  await shown.getByLabel('Sent at').fill('06:30');
  await shown.getByRole('button', { name: 'Save' }).click();
  await shown.locator('[data-item]').filter({ hasText: 'The week before, on Mondays · 06:30' }).filter({ hasText: '→ Office' }).waitFor();
  page.once('dialog', (question) => void question.accept());
  await shown.getByRole('button', { name: 'Delete All vehicles' }).click();
  await shown.getByText('No reports.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  server.close();
});
