/** What axe finds on a page that keeps people out. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

interface Finding { id: string; impact: string; nodes: { html: string }[] }
interface Options { resultTypes: string[]; runOnly?: { type: 'rule'; values: string[] } }
interface Axe { run: (within: string, options: Options) => Promise<{ violations: Finding[] }> }

/** Rules whose answer depends on colours: a theme changes nothing else of a page. */
const OF_COLOURS = ['color-contrast', 'link-in-text-block'];

/** `within`: a selector of what is looked at; `colours`: only at these. */
export async function seriousFindings(page: Page, within = 'html', colours = false): Promise<string[]> {
  if (await page.evaluate(() => !('axe' in window))) await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  // Of what is in order nothing is told: that takes longer than to find it so.
  const options: Options = { resultTypes: ['violations'], ...(colours ? { runOnly: { type: 'rule', values: OF_COLOURS } } : {}) };
  return page.evaluate(async ([part, how]) => {
    const { violations } = await (window as unknown as { axe: Axe }).axe.run(part, how);
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
  }, [within, options] as const);
}

/** In the light and in the dark, which a dialog lets nobody choose while it is open. */
export async function seriousInEachTheme(page: Page, within?: string): Promise<string[]> {
  const was = await page.evaluate(() => document.documentElement.dataset['theme'] ?? 'light');
  const other = was === 'light' ? 'dark' : 'light';
  const turn = (theme: string): Promise<void> => page.evaluate((to) => {
    document.documentElement.dataset['theme'] = to;
  }, theme);
  const found = (await seriousFindings(page, within)).map((finding) => `${was}: ${finding}`);
  await turn(other);
  found.push(...(await seriousFindings(page, within, true)).map((finding) => `${other}: ${finding}`));
  await turn(was);
  return found;
}
