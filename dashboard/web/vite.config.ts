import { defineConfig } from 'vite';

// The gateway's build.rs builds into its own output folder and sets this.
const outDir = process.env['WAYSTREAM_WEB_OUT'] ?? 'dist';
// For `npm run dev`: a running waystream to talk to.
const server = process.env['WAYSTREAM_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: './',
  build: { outDir, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 2048, chunkSizeWarningLimit: 700 },
  worker: { format: 'es' },
  server: {
    proxy: {
      '/api': { target: server },
      '/sign-in': { target: server },
      '/socket.io': { target: server, ws: true },
    },
  },
});
