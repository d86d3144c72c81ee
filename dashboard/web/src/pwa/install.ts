/** The service worker's life from the page's side: it comes after signing in and goes with signing out. */

import { forget } from '../prefs';

const SHELL = 'waystream-shell-';
/** A page that stays open for weeks asks for a new version this often. */
const UPDATE_MS = 3_600_000;

/** `onNewVersion`: another version's worker has taken over; what runs here is of the one before. */
export async function install(onNewVersion: () => void): Promise<void> {
  // Only where pages are secure, and the build made one.
  if (!('serviceWorker' in navigator) || !import.meta.env.PROD) return;
  const { serviceWorker } = navigator;
  const first = serviceWorker.controller === null;
  const registration = await serviceWorker.register('./sw.js', { updateViaCache: 'none' });
  let seen = first ? 1 : 0;
  serviceWorker.addEventListener('controllerchange', () => {
    // The first worker takes over a page that had none: that is no news.
    if (seen-- <= 0) onNewVersion();
  });
  setInterval(() => {
    registration.update().catch(() => undefined);
  }, UPDATE_MS);
}

/** After signing out this browser has nothing of ours: no files, no choices, no place in the address. */
export async function leave(): Promise<void> {
  forget();
  if ('serviceWorker' in navigator) {
    const registrations = await navigator.serviceWorker.getRegistrations();
    await Promise.all(registrations.map((registration) => registration.unregister()));
  }
  if ('caches' in window) {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith(SHELL)).map((name) => caches.delete(name)));
  }
  location.replace('./');
}
