/**
 * From tracker to browser: plays recorded tracks through the sockets of a whole system and asks a dashboard in a real browser, each
 * second, how old the positions were that it took over: the age of a fix is the time since its tracker wanted to send it.
 *
 *   node benchmarks/browser/latency.mjs --tracks FILE [--speed 10] [--seconds 60] [--binary FILE] [--chromium FILE] [--screenshot FILE]
 *   node benchmarks/browser/latency.mjs --command 'target/release/distributed --live 20000 --live-seconds 90' [--seconds 60] …
 *
 * The second form lets another program start the system and make the load; what it prints at its end is passed on. Needs `npm ci`
 * in dashboard/web and a release build.
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
    screenshot: { type: 'string' }, command: { type: 'string' },
  },
});
if (!args.tracks && !args.command) throw new Error('--tracks FILE is missing');

/** Silences at the start of a recording are played as a second each; until they are over there is nothing to measure. */
const WARM_SECONDS = 15;

const data = await mkdtemp(join(tmpdir(), 'waystream-latency-'));
const demo = [args.binary, 'demo', '--tracks', args.tracks, '--speed', args.speed, '--data', data];
const [program, ...rest] = args.command?.split(' ') ?? demo;
const system = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = once(system, 'exit');
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
  const how = args.command ? '' : ` at x${args.speed}`;
  console.log(`| from tracker to browser, ${last.count} vehicles${how}, ${rate} positions/s taken over | p99 of a second: median ${at(0.5)}, worst of ${ages.length} s ${at(1)} |`);
  if (!args.command) console.log(`| CPU of the system, gateway and players included | ${(cpu * 100).toFixed(0)} % of a core |`);
  console.log(`(${cpus()[0].model}, ${availableParallelism()} cores, shared with the browser)`);
} finally {
  await browser.close();
  if (!args.command) system.kill('SIGTERM');
  await ended;
  await rm(data, { recursive: true, force: true });
}

function stats(page) {
  return page.evaluate(() => window.waystream.stats);
}

/** The link that the system prints before it is ready; whatever another program prints later is passed on. */
function link(output) {
  return new Promise((resolve, reject) => {
    let text = '';
    const look = (chunk) => {
      text += chunk;
      const found = /https?:\/\/\S+\/sign-in\?token=[\w-]+/.exec(text);
      if (!found || !text.includes('Ready')) return;
      output.off('data', look);
      if (args.command) output.pipe(process.stdout);
      // Unread output must not stop it.
      else output.resume();
      resolve(found[0]);
    };
    output.on('data', look).on('end', () => reject(new Error(`the system ended:\n${text}`)));
  });
}

async function cpuSeconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
