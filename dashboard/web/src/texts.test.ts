/** All that the page says is in one file, so that another language is one more. */

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** Words for people: several, beginning with a capital; or what a control is called. */
const SAID = [/(['"`])[A-Z][a-z’]+(?: [\w’${}.,()]+)+[.!?…:]?\1/g, /\b(?:title|placeholder|alt|label|textContent|ariaLabel): (['"`])[A-Za-z’]{3,}(?: [A-Za-z’]+)*[.!?…:]?\1/g];
/** Words of a protocol. */
const NONE = /`Bearer /;

it.each(readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter((file) => /(?<!\.test)\.ts$/.test(file) && !/^(texts\.ts|wire\/)/.test(file)))('%s says nothing by itself', (file) => {
  const source = readFileSync(join(import.meta.dirname, file), 'utf8').replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
  const lines = source.split('\n').filter((line) => !/\bnew (Error|FrameFault)\(/.test(line) && !NONE.test(line));
  expect(lines.flatMap((line) => SAID.flatMap((said) => line.match(said) ?? []))).toEqual([]);
});
