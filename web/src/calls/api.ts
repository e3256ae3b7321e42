import type { CallList, CallPageData, DayStats, Peaks } from './types';

const TIMEOUT_MS = 20_000;

/** Why there is nothing to show, in words for a person. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export interface Filters {
  q: string;
  agent: string;
  state: string;
  reason: string;
  since: string;
  until: string;
}

export const NO_FILTERS: Filters = { q: '', agent: '', state: '', reason: '', since: '', until: '' };

export function filtersOf(search: string): Filters {
  const given = new URLSearchParams(search);
  const filters = { ...NO_FILTERS };
  for (const name of Object.keys(filters) as (keyof Filters)[]) filters[name] = given.get(name) ?? '';
  return filters;
}

export function queryOf(filters: Partial<Filters> & { before?: string }): string {
  const kept = Object.entries(filters).filter(([, value]) => value !== '');
  return kept.length > 0 ? `?${new URLSearchParams(Object.fromEntries(kept)).toString()}` : '';
}

export const fetchCalls = (filters: Filters, before?: string) =>
  get<CallList>(`/api/calls${queryOf(before === undefined ? filters : { ...filters, before })}`);

export const fetchStats = ({ agent, since, until }: Filters) =>
  get<{ since: string; days: DayStats[] }>(`/api/stats${queryOf({ agent, since, until })}`);

export const fetchCall = (id: string) => get<CallPageData>(callUrl(id));

export const fetchPeaks = (id: string) => get<Peaks>(`${callUrl(id)}/peaks`);

export const callUrl = (id: string) => `/api/calls/${encodeURIComponent(id)}`;

export async function get<T>(url: string, fetcher: typeof fetch = fetch): Promise<T> {
  let response: Response;
  try {
    response = await fetcher(url, { signal: AbortSignal.timeout(TIMEOUT_MS), credentials: 'same-origin' });
  } catch {
    throw new ApiError('The server does not answer. Is it running?', 0);
  }
  if (!response.ok) throw new ApiError(await reason(response), response.status);
  return (await response.json()) as T;
}

async function reason(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    if (typeof body === 'object' && body !== null) {
      const said = 'message' in body ? body.message : 'detail' in body ? body.detail : undefined;
      if (typeof said === 'string') return `${said.charAt(0).toUpperCase()}${said.slice(1)}.`;
    }
  } catch {
    // The status says enough.
  }
  return response.status === 422 ? 'A filter has a value that cannot be used.' : `The server said ${response.status}.`;
}
