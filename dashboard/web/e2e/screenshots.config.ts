import { defineConfig } from 'vitest/config';

// Not a test: `npm run screenshots` makes the pictures of the README anew.
export default defineConfig({
  cacheDir: '../node_modules/.vite-e2e',
  test: { root: import.meta.dirname, include: ['*.shots.ts'], environment: 'node', testTimeout: 240_000, hookTimeout: 180_000 },
});
