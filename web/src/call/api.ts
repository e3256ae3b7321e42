import { CallError, problem, type Problem } from './problems';

export interface Invitation {
  serverUrl: string;
  token: string;
}

export interface SiteConfig {
  agentName: string;
  /** What runs each stage, in the order the words travel; empty when the server does not say. */
  stages: { stage: string; label: string }[];
}

const TOKEN_TIMEOUT_MS = 15_000;
const CONFIG_TIMEOUT_MS = 5_000;
const DEFAULT_RETRY_S = 10;
const RETRY_S_MAX = 120;

const STAGE_NAMES: Record<string, string> = { stt: 'Hearing', llm: 'Thinking', tts: 'Speaking' };

/** Asks for a place in a room. Throws `CallError` with the reason when there is none. */
export async function requestInvitation(fetcher: typeof fetch = fetch): Promise<Invitation> {
  return invitation('/api/token', {}, fetcher);
}

/** Asks for the place in a call again, with a token that may have run out. Throws `CallError`: `over` for good. */
export async function requestReturn(token: string, fetcher: typeof fetch = fetch): Promise<Invitation> {
  return invitation('/api/rejoin', { participant_token: token }, fetcher);
}

async function invitation(path: string, asked: object, fetcher: typeof fetch): Promise<Invitation> {
  let response: Response;
  try {
    response = await fetcher(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(asked),
      signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
    });
  } catch (error) {
    throw new CallError(problem('server_unreachable'), { cause: error });
  }
  const body = await jsonOf(response);
  if (!response.ok) throw new CallError(tokenProblem(response, body));
  const serverUrl = text(body['server_url']);
  const token = text(body['participant_token']);
  if (!serverUrl || !token) throw new CallError(problem('server_unreachable'));
  return { serverUrl, token };
}

/** The problem behind a refused token request; exported for its tests. The page's own words, where it has some: the
 * server's are for whoever writes a client. */
export function tokenProblem(response: Response, body: Record<string, unknown>): Problem {
  const message = text(body['message']);
  const said = message ? { detail: sentence(message) } : {};
  const retryAfterS = retryAfter(response, body);
  switch (response.status) {
    case 409:
      return problem('in_call');
    case 410:
      return problem('over');
    case 429:
      return problem('rate_limited', { retryAfterS });
    case 503:
      if (body['error'] === 'budget_spent') return problem('spent', said);
      return problem(body['error'] === 'no_agent' ? 'no_agent' : 'capacity', { retryAfterS });
    default:
      return response.status >= 500
        ? problem('server_unreachable', { retryAfterS: DEFAULT_RETRY_S })
        : problem('refused', said);
  }
}

function sentence(words: string): string {
  const upper = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

/** Who answers here; a page that cannot learn it still offers the call. */
export async function fetchConfig(fetcher: typeof fetch = fetch): Promise<SiteConfig> {
  try {
    const response = await fetcher('/api/config', { signal: AbortSignal.timeout(CONFIG_TIMEOUT_MS) });
    const body = response.ok ? await jsonOf(response) : {};
    const ladder = record(body['ladder']);
    return {
      agentName: text(record(body['agent'])['name']) ?? '',
      stages: Object.entries(STAGE_NAMES).flatMap(([key, stage]) => {
        const label = text(ladder[key]);
        return label ? [{ stage, label }] : [];
      }),
    };
  } catch {
    return { agentName: '', stages: [] };
  }
}

function retryAfter(response: Response, body: Record<string, unknown>): number {
  const seconds = Number(body['retry_after'] ?? response.headers.get('Retry-After') ?? Number.NaN);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(Math.ceil(seconds), RETRY_S_MAX) : DEFAULT_RETRY_S;
}

async function jsonOf(response: Response): Promise<Record<string, unknown>> {
  try {
    return record(await response.json());
  } catch {
    return {};
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() ? value.trim() : undefined;
}
