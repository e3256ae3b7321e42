// Keeps the page itself, so that it opens at once and says what is wrong when there is no network. Nothing else is
// kept: no token, nothing of the API, no page of a call, nothing that is not a plain GET of this build's own files.
const VERSION = 'repartee-__VERSION__';
const FILES = ['__FILES__'];
const PAGE = '/';

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(VERSION)
      .then((cache) => cache.addAll([PAGE, ...FILES]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== VERSION).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (FILES.includes(url.pathname)) event.respondWith(kept(request));
  // The page as it is now; as it was where there is no network.
  else if (request.mode === 'navigate' && url.pathname === PAGE) event.respondWith(newest(request));
});

async function kept(request) {
  const cache = await caches.open(VERSION);
  return (await cache.match(request, { ignoreVary: true })) ?? fetch(request);
}

async function newest(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const page = await (await caches.open(VERSION)).match(PAGE, { ignoreVary: true });
    if (page) return page;
    throw error;
  }
}
