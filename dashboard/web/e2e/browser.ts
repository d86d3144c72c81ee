/** What every browser of these tests needs. */

import { join } from 'node:path';

export const SHOTS = join(import.meta.dirname, '../test-results');
export const PASSWORD = 'correct horse battery staple';
/** Of Chromium. */
export const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
  '--disable-quic',
];
