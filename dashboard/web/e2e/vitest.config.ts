import { defineConfig } from 'vitest/config';

// One browser and one system for all steps, in order: a later step needs what an earlier one did to the system, never how it left the page.
export default defineConfig({
  cacheDir: '../node_modules/.vite-e2e',
  test: {
    root: import.meta.dirname, include: ['*.e2e.ts'], environment: 'node', testTimeout: 240_000, hookTimeout: 180_000, fileParallelism: false,
    bail: 1,
    // A browser, trackers and servers share two cores: what only came too late is tried once more.
    retry: 1,
  },
});
