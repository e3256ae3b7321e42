/** Keeps the page for the next time, also for one without a network. A page in a frame is not kept: it is not an app. */
export function keepPage(): void {
  if (!import.meta.env.PROD || window.top !== window.self) return;
  // Undefined on a page that is not secure.
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  workers?.register('/sw.js').catch(() => undefined); // a browser that refuses opens the page as ever
}
