import { expect, it } from 'vitest';
import { linesOf, secretOf } from './feed';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

it('finds lines wherever pieces of an answer end, also within a letter', async () => {
  const whole = bytes('{"name":"Žluťák"}\n{"name":null}\n{"half');
  for (const size of [1, 2, 7, whole.length]) {
    const body = new ReadableStream<Uint8Array>({
      start: (out) => {
        for (let i = 0; i < whole.length; i += size) out.enqueue(whole.slice(i, i + size));
        out.close();
      },
    });
    const lines: string[] = [];
    for await (const line of linesOf(body)) lines.push(line);
    expect(lines).toEqual(['{"name":"Žluťák"}', '{"name":null}']);
  }
});

it('takes a secret from an address, and nothing that is none', () => {
  expect(secretOf('#wshare_0a1b_2c3d')).toBe('wshare_0a1b_2c3d');
  for (const wrong of ['', '#', '#ws_0a_1b', '#wshare_0a', '#wshare_0a_1b\n', '#wshare_é_1b', 'wshare_0a_1b']) expect(secretOf(wrong)).toBeNull();
});
