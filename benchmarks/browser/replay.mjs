/**
 * A day in three minutes: a replay of a whole day at x480 through the dashboard in a real browser, and how much memory the page takes
 * meanwhile. Every ten seconds garbage is collected, of the page and of its worker, and what is left is noted.
 *
 *   node benchmarks/browser/replay.mjs [--vehicles 10000] [--hours 24] [--history-period 45] [--speed 480] [--seconds 180] [--binary FILE]
 *     [--chromium FILE] [--screenshot FILE] [--page URL]
 *   node benchmarks/browser/replay.mjs --command 'target/release/waystream demo --vehicles 2000 --history 1440 --data DIR' …
 *
 * The server sends ten frames a second, each with the newest position of every vehicle that has a new one: 10,000 vehicles that reported at least
 * every 48 s are 100,000 positions a second at x480. The second form lets another program start a system that has a history. `--page`: where the
 * dashboard is, if not where the sign-in link is. Needs `npm ci` in dashboard/web and a release build of the benchmarks.
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
    vehicles: { type: 'string', default: '10000' }, hours: { type: 'string', default: '24' }, 'history-period': { type: 'string', default: '45' },
    speed: { type: 'string', default: '480' }, seconds: { type: 'string', default: '180' }, binary: { type: 'string', default: 'target/release/gateway' },
    chromium: { type: 'string', default: '/usr/bin/chromium' }, screenshot: { type: 'string' }, command: { type: 'string' }, page: { type: 'string' },
  },
});

const PASSWORD = 'only for this measurement';
const SAMPLE_MS = 10_000;
const SIGN_IN = /https?:\/\/\S+\/sign-in\?token=[\w-]+/;
const MB = 1e6;

const data = await mkdtemp(join(tmpdir(), 'waystream-replay-'));
const ours = [args.binary, '--vehicles', args.vehicles, '--period', '10', '--history-hours', args.hours, '--history-period', args['history-period'], '--dir', data];
const [program, ...rest] = args.command?.split(' ') ?? ours;
const system = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
const ended = once(system, 'exit');
// The gateway prints a link for each line that it reads; others print one by themselves.
system.stdin.on('error', () => undefined).write('link\n');
const browser = await chromium.launch({ executablePath: args.chromium, args: ['--no-sandbox', '--disable-gpu', '--enable-precise-memory-info'] });
try {
  const link = await signInLink(system.stdout);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const worker = await workerOf(cdp, () => open(page, link));
  await startReplay(page);

  const samples = [await sample(page, cdp, worker)];
  for (let at = SAMPLE_MS; at <= Number(args.seconds) * 1000; at += SAMPLE_MS) {
    await page.waitForTimeout(SAMPLE_MS);
    samples.push(await sample(page, cdp, worker));
    if (samples.at(-1).done) break;
  }
  if (args.screenshot) await page.screenshot({ path: args.screenshot });
  print(samples);
} finally {
  await browser.close();
  if (args.command) system.kill('SIGTERM');
  else system.stdin.end();
  await ended;
  await rm(data, { recursive: true, force: true });
}

async function open(page, link) {
  if (args.page) await page.request.get(link);
  await page.goto(args.page ?? link);
  await page.locator('dialog input[type=password]').fill(PASSWORD);
  await page.locator('dialog button[type=submit]').click();
  await page.locator('dialog').waitFor({ state: 'detached' });
}

/** The last day, all vehicles, by the panel that people use. */
async function startReplay(page) {
  // Another program may still be putting its history in.
  await page.waitForFunction(async (hours) => {
    const { from, to } = await (await fetch('api/history/range')).json();
    return from !== null && to - from > hours * 3_500_000;
  }, Number(args.hours), { timeout: 600_000, polling: 1000 });
  await page.getByRole('button', { name: 'Replay' }).first().click();
  const form = page.locator('.panel .form');
  // It has asked how much history there is.
  await page.waitForFunction(() => document.querySelector('.panel .form input[type=datetime-local]').value !== '');
  await form.getByRole('button', { name: '24 h' }).click();
  await form.getByLabel('Vehicles').selectOption('all:');
  await form.getByLabel('Speed').selectOption(args.speed);
  await page.getByRole('button', { name: 'Start replay' }).click();
  await page.waitForFunction(() => (window.waystream?.replay?.count ?? 0) > 0, null, { timeout: 300_000 });
}

/** A way to ask the map's worker, found while the page opens. */
async function workerOf(cdp, opening) {
  const answers = new Map();
  let session = null, next = 1;
  cdp.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
    if (targetInfo.type === 'worker') session = sessionId;
  });
  cdp.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result } = JSON.parse(message);
    answers.get(id)?.(result);
    answers.delete(id);
  });
  await cdp.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  await opening();
  if (session === null) throw new Error('the page has no worker');
  return async (method) => {
    const id = next++;
    const answer = new Promise((resolve) => answers.set(id, resolve));
    await cdp.send('Target.sendMessageToTarget', { sessionId: session, message: JSON.stringify({ id, method, params: {} }) });
    return answer;
  };
}

async function sample(page, cdp, worker) {
  const { metrics } = await cdp.send('Performance.getMetrics');
  const busy = metrics.find(({ name }) => name === 'TaskDuration').value;
  for (const ask of [(method) => cdp.send(method), worker]) {
    await ask('HeapProfiler.collectGarbage');
  }
  const [of, inWorker] = [await cdp.send('Runtime.getHeapUsage'), await worker('Runtime.getHeapUsage')];
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const renderer = processInfo.filter(({ type }) => type === 'renderer').sort((a, b) => b.cpuTime - a.cpuTime)[0];
  const replay = await page.evaluate(() => ({ ...window.waystream.replay, now: performance.now() }));
  return {
    ...replay, busy, heap: of.usedSize, workerHeap: inWorker.usedSize, buffers: (of.backingStorageSize ?? 0) + (inWorker.backingStorageSize ?? 0),
    process: await residentBytes(renderer.id),
  };
}

/** Without files that are mapped: memory of its own and shared pictures. */
async function residentBytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return ['RssAnon', 'RssShmem'].reduce((sum, name) => sum + 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0), 0);
}

function print(samples) {
  const first = samples[0], last = samples.at(-1);
  const seconds = (last.now - first.now) / 1000;
  const mb = (bytes) => (bytes / MB).toFixed(1);
  console.log('| second | moment of the day | positions/s | page heap | worker heap | their buffers | whole process | main thread |');
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
  samples.forEach((s, i) => {
    const before = samples[i - 1];
    const span = before ? (s.now - before.now) / 1000 : 0;
    console.log(`| ${((s.now - first.now) / 1000).toFixed(0)} | ${new Date(s.at).toISOString().slice(0, 16)} | ${before ? Math.round((s.applied - before.applied) / span) : '–'} | ${
      mb(s.heap)} MB | ${mb(s.workerHeap)} MB | ${mb(s.buffers)} MB | ${mb(s.process)} MB | ${before ? `${Math.round((s.busy - before.busy) / span * 1000)} ms/s` : '–'} |`);
  });
  console.log(`\n| replay at x${args.speed}, ${last.count} vehicles, ${Math.round((last.applied - first.applied) / seconds)} positions/s over ${seconds.toFixed(0)} s | first | last | peak |`);
  console.log('| --- | --- | --- | --- |');
  for (const [name, of] of [['heap of the page', 'heap'], ['heap of its worker', 'workerHeap'], ['buffers of both', 'buffers'], ['memory of the process', 'process']]) {
    console.log(`| ${name} | ${mb(first[of])} MB | ${mb(last[of])} MB | ${mb(Math.max(...samples.map((s) => s[of])))} MB |`);
  }
  console.log(`(${cpus()[0].model}, ${availableParallelism()} cores, shared by server, browser and harness)`);
}

/** The first that is printed; what comes later is read, so that it stops nobody. */
function signInLink(output) {
  return new Promise((resolve, reject) => {
    let text = '';
    const look = (chunk) => {
      text += chunk;
      const found = SIGN_IN.exec(text);
      // Others print it before they are ready.
      if (!found || (args.command && !text.includes('Ready'))) return;
      output.off('data', look).resume();
      resolve(found[0]);
    };
    output.on('data', look).on('end', () => reject(new Error(`the system ended:\n${text}`)));
  });
}
