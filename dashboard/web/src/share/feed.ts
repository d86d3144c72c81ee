/** What comes of a share link: the newest of its vehicle, line by line, until the link ends. */

import type { SharedTrail, SharedView } from '../wire/types';

/** Time between two attempts to reach the server. */
const RETRY_MS = 3_000;
/** The server says something every 15 s: when it has said nothing for so long the connection is dead. */
const SILENCE_MS = 40_000;

export type Link = 'online' | 'lost' | 'busy';

/** The secret of an address; null if there is none. */
export const secretOf = (hash: string): string | null => /^#(wshare_[0-9a-f]+_[0-9a-f]+)$/.exec(hash)?.[1] ?? null;

/** The secret goes as a header: addresses are written into logs. Nothing else goes along, not even a session of this browser. */
const ask = (secret: string, path: string, signal: AbortSignal | null): Promise<Response> =>
  fetch(path, { headers: { authorization: `Bearer ${secret}` }, credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer', signal });

/** Texts between line ends, however they come. */
export async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

/** Where the vehicle was since the link was made; null: no answer now. */
export async function trailOf(secret: string): Promise<SharedTrail | null> {
  const response = await ask(secret, 'api/share/trail', null).catch(() => null);
  return response?.ok ? ((await response.json()) as SharedTrail) : null;
}

/** Resolves when the link has ended, or if there is none. */
export async function watch(secret: string, show: (view: SharedView) => void, tell: (link: Link) => void): Promise<void> {
  for (;;) {
    const silence = new AbortController();
    let timer = 0;
    const heard = (): void => {
      clearTimeout(timer);
      timer = window.setTimeout(() => silence.abort(), SILENCE_MS);
    };
    let wait = RETRY_MS;
    try {
      heard();
      const response = await ask(secret, 'api/share', silence.signal);
      if (response.status === 401) return;
      if (response.status === 429) {
        tell('busy');
        wait = Math.max(wait, Number(response.headers.get('retry-after') ?? 0) * 1000);
      } else if (response.ok && response.body) {
        for await (const line of linesOf(response.body)) {
          heard();
          tell('online');
          show(JSON.parse(line) as SharedView);
        }
        // The end of the answer is the end of the link, or of the server: the next one says which.
        tell('lost');
        wait = 0;
      } else {
        tell('lost');
      }
    } catch {
      tell('lost');
    } finally {
      clearTimeout(timer);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(wait, 500)));
  }
}
