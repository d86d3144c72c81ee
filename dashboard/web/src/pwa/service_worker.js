/**
 * Keeps the page's own files, so that it opens at once and without a network says what is the matter. Never anything that the server
 * tells of a fleet: what is not in the list below is not touched.
 *
 * `vite.config.ts` puts in the version and the list when it builds.
 */

const CACHE = 'waystream-shell-__VERSION__';
const FILES = __FILES__;
/** The page itself. */
const PAGE = new URL('./', self.location).href;
const KEPT = new Set([PAGE, ...FILES.map((file) => new URL(file, self.location).href)]);

self.addEventListener('install', (event) => {
  // Past the browser's own cache: an old page with a new list would never fit.
  const fresh = [...KEPT].map((url) => new Request(url, { cache: 'reload', credentials: 'same-origin' }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter((name) => name.startsWith('waystream-shell-') && name !== CACHE).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = request.url.split(/[?#]/)[0];
  if (request.method !== 'GET' || !KEPT.has(url)) return;
  const kept = () => caches.open(CACHE).then((cache) => cache.match(url));
  // The page comes from the server if there is one, so that a new version is seen; its files have the hash of their content in their names.
  event.respondWith(url === PAGE
    ? fetch(request).catch(async (error) => (await kept()) ?? Promise.reject(error))
    : kept().then((response) => response ?? fetch(request)));
});
