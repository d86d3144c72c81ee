/** Map tiles of one file on the server: pictures, and shapes that the page draws. Real binary, real browser. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FLAGS, SHOTS, bitmapOf, enter } from './browser';
import { System } from './system';

const RED = [200, 30, 40];
/** Of pmtiles.io's specification, version 3. */
const [MVT, PNG] = [1, 2];
const HEADER_BYTES = 127;

/** An archive of one tile, that of zoom 0. */
function archiveOf(tile: Buffer, type: number): Buffer {
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)]);
  // One entry: its id, for how many ids, its length, its offset + 1.
  const directory = Buffer.from([...varint(1), ...varint(0), ...varint(1), ...varint(tile.length), ...varint(1)]);
  const metadata = Buffer.from('{}');
  const header = Buffer.alloc(HEADER_BYTES);
  header.write('PMTiles\x03', 'latin1');
  const parts = [directory, metadata, Buffer.alloc(0), tile];
  let [field, offset] = [8, HEADER_BYTES];
  for (const part of parts) {
    header.writeBigUInt64LE(BigInt(offset), field);
    header.writeBigUInt64LE(BigInt(part.length), field + 8);
    field += 16;
    offset += part.length;
  }
  for (const count of [1, 1, 1]) {
    header.writeBigUInt64LE(BigInt(count), field);
    field += 8;
  }
  // Clustered; nothing compressed; the type; zoom 0 to 0; the whole world, looked at from its centre.
  header.set([1, 1, 1, type, 0, 0], field);
  [-180, -85, 180, 85].forEach((degrees, n) => header.writeInt32LE(degrees * 1e7, field + 6 + 4 * n));
  return Buffer.concat([header, ...parts]);
}

/** A vector tile whose layer `water` covers it all. */
function seaTile(): Buffer {
  const field = (number: number, data: number[]): number[] => [(number << 3) | 2, data.length, ...data];
  // From 0, 0 by 64 units each way, zigzag: move, three lines, close.
  const geometry = [9, 0, 0, 26, 128, 1, 0, 0, 128, 1, 127, 0, 15];
  const feature = field(2, [0x18, 3, ...field(4, geometry)]);
  const layer = [...field(1, [...Buffer.from('water')]), ...feature, 0x28, 64, 0x78, 2];
  return Buffer.from(field(3, layer));
}

let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waystream-archive-'));
  browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: FLAGS });
});

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Opens the map over an archive; gives the colour of its tiles, twice: light, dark. */
async function colours(name: string, archive: Buffer): Promise<number[][]> {
  const file = join(folder, `${name}.pmtiles`);
  await writeFile(file, archive);
  const system = await System.create({ WAYSTREAM_GATEWAY__TILES_FILE: file });
  const complaints: string[] = [];
  try {
    await system.start('demo', '--vehicles', '20', '--history', '1');
    const page: Page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' })).newPage();
    page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await enter(page, system);
    await page.waitForFunction(() => window.waystream?.setView !== undefined);
    await page.evaluate(() => window.waystream?.setView(0, 0, 2));
    const seen: number[][] = [];
    for (const scheme of ['light', 'dark'] as const) {
      if (scheme === 'dark') await page.getByRole('button', { name: 'Dark mode' }).click();
      const centre = (): Promise<number[]> => page.evaluate(() => {
        const canvas = document.querySelector<HTMLCanvasElement>('canvas.leaflet-tile');
        // Some show finished pictures: only a copy can be read.
        const copy = new OffscreenCanvas(1, 1).getContext('2d');
        if (canvas) copy?.drawImage(canvas, -(canvas.width >> 1), -(canvas.height >> 1));
        const pixel = copy?.getImageData(0, 0, 1, 1).data;
        return pixel ? [...pixel] : [0, 0, 0, 0];
      });
      const before = seen.at(-1)?.join();
      await expect.poll(async () => {
        const colour = await centre();
        return complaints.length > 0 || (colour[3] === 255 && colour.join() !== before);
      }, { timeout: 30_000 }).toBe(true);
      seen.push(await centre());
      await page.screenshot({ path: join(SHOTS, `9-archive-${name}-${scheme}.png`) });
    }
    expect(complaints).toEqual([]);
    return seen;
  } finally {
    await system.destroy();
  }
}

it('shows the pictures of an archive, darker in the dark', async () => {
  const [light, dark] = await colours('pictures', archiveOf(bitmapOf(RED, 256), PNG));
  expect(light).toEqual([...RED, 255]);
  expect(dark).not.toEqual(light);
});

it('draws the shapes of an archive, in other colours in the dark', async () => {
  const [light, dark] = await colours('shapes', archiveOf(seaTile(), MVT));
  // Water is bluish, and dark at night.
  expect(light[2]).toBeGreaterThan(light[0] + 20);
  expect(dark[0] + dark[1] + dark[2]).toBeLessThan(light[0] + light[1] + light[2]);
});

it('says which file is no archive', async () => {
  const file = join(folder, 'no.pmtiles');
  await writeFile(file, 'something else');
  const system = await System.create({ WAYSTREAM_GATEWAY__TILES_FILE: file });
  try {
    await expect(system.start('demo', '--vehicles', '1', '--history', '1')).rejects.toThrow(/could not use the map tiles in .*no\.pmtiles.*no PMTiles archive/s);
  } finally {
    await system.destroy();
  }
});
