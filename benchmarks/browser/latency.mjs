/**
 * From tracker to browser: plays recorded tracks through the sockets of a whole system and asks a dashboard in a real browser, each
 * second, how old the positions were that it took over: the age of a fix is the time since its tracker wanted to send it.
 *
 *   node benchmarks/browser/latency.mjs --tracks FILE [--speed 10] [--seconds 60] [--binary FILE] [--chromium FILE] [--screenshot FILE]
 *
 * Needs `npm ci` in dashboard/web and a release build.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const web = new URL('../../dashboard/web/package.json', import.meta.url);
const { chromium } = createRequire(web)('playwright-core');
const { values: args } = parseArgs({
  options: {
    tracks: { type: 'string' }, speed: { type: 'string', default: '10' }, seconds: { type: 'string', default: '60' },
    binary: { type: 'string', default: 'target/release/waystream' }, chromium: { type: 'string', default: '/usr/bin/chromium' },
    screenshot: { type: 'string' },
  },
});
if (!args.tracks) throw new Error('--tracks FILE is missing');

/** Silences at the start of a recording are played as a second each; until they are over there is nothing to measure. */
const WARM_SECONDS = 15;

const data = await mkdtemp(join(tmpdir(), 'waystream-latency-'));
const system = spawn(args.binary, ['demo', '--tracks', args.tracks, '--speed', args.speed, '--data', data], { stdio: ['ignore', 'pipe', 'inherit'] });
const browser = await chromium.launch({ executablePath: args.chromium, args: ['--no-sandbox'] });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(await link(system.stdout));
  await page.waitForTimeout(WARM_SECONDS * 1000);
  const [first, cpuBefore] = [await stats(page), await cpuSeconds(system.pid)];
  const seconds = [];
  for (let i = 0; i < Number(args.seconds); i++) {
    await page.waitForTimeout(1000);
    seconds.push(await stats(page));
  }
  const last = seconds.at(-1);
  const cpu = (await cpuSeconds(system.pid) - cpuBefore) / seconds.length;
  const ages = seconds.map((s) => s.ageP99).filter((age) => age !== null).sort((a, b) => a - b);
  if (ages.length === 0) throw new Error('no position came');
  const at = (share) => `${Math.round(ages[Math.round((ages.length - 1) * share)])} ms`;
  if (args.screenshot) await page.screenshot({ path: args.screenshot });
  const rate = Math.round((last.applied - first.applied) / seconds.length);
  console.log(`| from tracker to browser, ${last.count} vehicles at x${args.speed}, ${rate} positions/s taken over | p99 of a second: median ${at(0.5)}, worst of ${ages.length} s ${at(1)} |`);
  console.log(`| CPU of the system, gateway and players included | ${(cpu * 100).toFixed(0)} % of a core |`);
  console.log(`(${cpus()[0].model}, ${availableParallelism()} cores, shared with the browser)`);
} finally {
  await browser.close();
  system.kill('SIGTERM');
  await once(system, 'exit');
  await rm(data, { recursive: true, force: true });
}

function stats(page) {
  return page.evaluate(() => window.waystream.stats);
}

async function link(output) {
  let text = '';
  for await (const chunk of output) {
    text += chunk;
    const found = /https?:\/\/\S+\/sign-in\?token=[\w-]+/.exec(text);
    if (found && text.includes('Ready')) {
      // Unread output must not stop it.
      output.resume();
      return found[0];
    }
  }
  throw new Error(`the system ended:\n${text}`);
}

async function cpuSeconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
