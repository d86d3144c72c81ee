/** Starts the OpenID provider of the tests, which sends browsers back to one dashboard. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const CLIENT_SECRET = 'a secret of enough letters';

/** `callback`: of the dashboard. `stop` ends it. */
export async function startProvider(callback: string): Promise<{ issuer: string; stop: () => void }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'oidc_provider.mjs')], {
    env: { ...process.env, CALLBACK: callback, CLIENT_SECRET }, stdio: ['pipe', 'pipe', 'ignore'],
  });
  const [issuer] = await once(createInterface(child.stdout), 'line') as [string];
  return { issuer, stop: () => child.stdin.end() };
}
