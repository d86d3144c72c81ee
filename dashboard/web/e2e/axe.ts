/** What axe finds on a page that keeps people out. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

interface Finding { id: string; impact: string; nodes: { html: string }[] }
interface Axe { run: (within: string) => Promise<{ violations: Finding[] }> }

/** `within`: a selector of what is looked at. */
export async function seriousFindings(page: Page, within = 'html'): Promise<string[]> {
  if (await page.evaluate(() => !('axe' in window))) await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  return page.evaluate(async (part) => {
    const { violations } = await (window as unknown as { axe: Axe }).axe.run(part);
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
  }, within);
}

/** In the light and in the dark, which a dialog lets nobody choose while it is open. */
export async function seriousInEachTheme(page: Page, within?: string): Promise<string[]> {
  const found: string[] = [];
  const was = await page.evaluate(() => document.documentElement.dataset['theme'] ?? 'light');
  const turn = (theme: string): Promise<void> => page.evaluate((to) => {
    document.documentElement.dataset['theme'] = to;
  }, theme);
  for (const theme of ['light', 'dark']) {
    await turn(theme);
    found.push(...(await seriousFindings(page, within)).map((finding) => `${theme}: ${finding}`));
  }
  await turn(was);
  return found;
}
