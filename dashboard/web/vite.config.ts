import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

// The gateway's build.rs builds into its own output folder and sets this.
const outDir = process.env['WAYSTREAM_WEB_OUT'] ?? 'dist';
// For `npm run dev`: a running waystream to talk to.
const server = process.env['WAYSTREAM_URL'] ?? 'http://127.0.0.1:8080';

/** The dashboard, and what somebody sees who has a share link. */
const PAGES = ['index.html', 'share.html'];

/** Writes `sw.js` with the list of all files of the build, and a version that changes when any of them does. */
function serviceWorker(): Plugin {
  return {
    name: 'waystream-service-worker',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const folder = join(import.meta.dirname, 'public');
        const publicFiles = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
        const hash = createHash('sha256');
        for (const file of publicFiles.sort()) hash.update(file).update(readFileSync(join(folder, file)));
        for (const [name, output] of Object.entries(bundle)) hash.update(name).update(output.type === 'chunk' ? output.code : output.source);
        const files = [...Object.keys(bundle).filter((name) => !PAGES.includes(name)), ...publicFiles];
        const source = readFileSync(join(import.meta.dirname, 'src/pwa/service_worker.js'), 'utf8')
          .replace('__VERSION__', hash.digest('hex').slice(0, 16)).replace('__FILES__', JSON.stringify(files));
        this.emitFile({ type: 'asset', fileName: 'sw.js', source });
      },
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [serviceWorker()],
  build: { outDir, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 2048, chunkSizeWarningLimit: 700, rolldownOptions: { input: PAGES.map((page) => join(import.meta.dirname, page)) } },
  worker: { format: 'es' },
  server: {
    proxy: {
      '/api': { target: server },
      '/sign-in': { target: server },
      '/socket.io': { target: server, ws: true },
    },
  },
});
