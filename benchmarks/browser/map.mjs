/**
 * The live map in a real browser: for each size a real gateway with so many vehicles, each moving every second, beside the usual stack
 * (Node, Socket.IO, Leaflet with viewport culling) at the sizes that it can take. The measuring harness and the peer are those of
 * `../shared/peers/front`, copied somewhere and set up as its README says.
 *
 *   node benchmarks/browser/map.mjs --harness DIR [--sizes 5000,20000,50000,100000] [--period 1] [--peer-sizes 5000,20000] [--binary FILE] [--shots DIR]
 *     [-- OPTION…]
 *
 * A million vehicles, each moving every ten seconds, of which the server counts those that are too many to see:
 *
 *   node benchmarks/browser/map.mjs --harness DIR --sizes 1000000 --period 10 --peer-sizes '' -- --load-timeout 120
 *
 * The mouse is the browser's own, not Playwright's: see `mouse.mjs`. Options after `--` are the harness's. Needs a release build of the benchmarks. Lag of ours: how old positions were when the page took them over, 99th percentile of
 * the worst second; of the peer the 95th percentile of all.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values: args, positionals: forHarness } = parseArgs({
  allowPositionals: true,
  options: {
    harness: { type: 'string' }, sizes: { type: 'string', default: '5000,20000,50000,100000' },
    period: { type: 'string', default: '1' },
    'peer-sizes': { type: 'string', default: '5000,20000' }, binary: { type: 'string', default: 'target/release/gateway' },
    shots: { type: 'string' }, port: { type: 'string', default: '18090' },
  },
});
if (!args.harness) throw new Error('--harness DIR is missing');

const SCENES = { out: 'zoomed out', in: 'zoomed in', pan: 'dragging, zoomed out' };
const folder = await mkdtemp(join(tmpdir(), 'waystream-map-'));
const rows = [];
try {
  for (const n of list(args.sizes)) {
    const server = spawn(args.binary, ['--vehicles', String(n), '--period', args.period, '--dir', folder], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
    const url = (await lines.next()).value;
    server.stdin.write('link\n');
    const link = (await lines.next()).value;
    rows.push(...await measure('waystream', n, url, server.pid, ['--adapter', join(import.meta.dirname, 'harness-adapter.mjs'), '--link', link, '--vehicles', String(n)]));
    server.stdin.end();
    await once(server, 'exit');
  }
  for (const n of list(args['peer-sizes'])) {
    const server = spawn('node', ['--max-old-space-size=4096', join(args.harness, 'seed/server.mjs'), args.port, String(n), 'batch', 'json'], { stdio: 'ignore' });
    await until(() => fetch(`http://127.0.0.1:${args.port}/seed/blank.js`).then((r) => r.ok, () => false));
    rows.push(...await measure('usual stack', n, `http://127.0.0.1:${args.port}/seed/opt.html?cluster=1`, server.pid, ['--adapter', join(import.meta.dirname, 'peer-adapter.mjs')]));
    server.kill();
    await once(server, 'exit');
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
console.log('| map | vehicles | scene | fps | frame p95 | main thread | lag p95 | bytes/position | KB/s | heap | server CPU | server memory |');
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const r of rows) {
  console.log(r.fatal ? `| ${r.label} | ${r.vehicles} | ${SCENES[r.scenario] ?? r.scenario} | not finished: ${r.fatal} |||||||||`
    : `| ${r.label} | ${r.vehicles} | ${SCENES[r.scenario]} | ${r.fps} | ${r.p95} ms | ${r.busyMsPerS} ms/s | ${r.lagP95 === null ? '–' : `${r.lagP95} ms`} | ${
      // Counted cells are no positions.
      r.appliedPerS > 0 ? (r.wireKBps * 1024 / r.appliedPerS).toFixed(1) : '–'} | ${r.wireKBps} | ${r.heapMB} MB | ${r.serverCpuMsPerS} ms/s | ${r.serverMB} MB |`);
}
console.log(`(${cpus()[0].model}, ${availableParallelism()} cores, shared by server, browser and harness)`);

async function measure(label, vehicles, url, pid, more) {
  const out = join(folder, `${label}-${vehicles}.jsonl`);
  const run = spawn('node', [
    join(args.harness, 'harness.mjs'), '--url', url, '--label', `${label}-${vehicles}`, '--server-pid', String(pid), '--json', out,
    ...(args.shots ? ['--shot', args.shots] : []), ...forHarness, ...more,
  ], { stdio: ['ignore', 'inherit', 'inherit'] });
  await once(run, 'exit');
  const kilobytes = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  const serverMB = Math.round(Number(kilobytes) / 1000);
  const text = await readFile(out, 'utf8');
  return text.trim().split('\n').map((line) => ({ ...JSON.parse(line), label, vehicles, serverMB }));
}

function list(text) {
  return text.split(',').filter((n) => n !== '').map(Number);
}

async function until(holds) {
  for (let i = 0; i < 100; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the peer does not start');
}
