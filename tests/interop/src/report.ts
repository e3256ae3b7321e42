/** What a page has seen, for the test that drives it: named values, and how each has changed. */
declare global {
  interface Window {
    report: Record<string, unknown>;
    reports: Record<string, unknown[]>;
  }
}

window.report = {};
window.reports = {};

/** Notes a value; one that is as before is no change. */
export function note(name: string, value: unknown): void {
  const known = (window.reports[name] ??= []);
  if (known.length > 0 && JSON.stringify(known[known.length - 1]) === JSON.stringify(value)) return;
  known.push(value);
  window.report[name] = value;
}

/** Where the server under test is. */
export const SERVER = new URLSearchParams(location.search).get('server') ?? '';
