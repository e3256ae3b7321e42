import { describe, expect, it } from 'vitest';
import { fetchConfig, requestInvitation } from './api';
import { CallError } from './problems';

function answering(status: number, body: unknown, headers: Record<string, string> = {}): typeof fetch {
  return () => Promise.resolve(new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers }));
}

async function codeOf(fetcher: typeof fetch): Promise<string> {
  try {
    await requestInvitation(fetcher);
  } catch (error) {
    if (error instanceof CallError) return error.problem.code;
    throw error;
  }
  return 'invited';
}

describe('an invitation', () => {
  it('is the server and the token', async () => {
    const body = { server_url: 'wss://media.example', participant_token: 'jwt' };
    expect(await requestInvitation(answering(201, body))).toEqual({ serverUrl: 'wss://media.example', token: 'jwt' });
  });

  it.each([
    [429, { error: 'rate_limited' }, 'rate_limited'],
    [503, { error: 'no_agent' }, 'no_agent'],
    [503, { error: 'capacity' }, 'capacity'],
    [503, { error: 'budget_spent' }, 'spent'],
    [409, { error: 'call_live' }, 'in_call'],
    [500, 'oops', 'server_unreachable'],
    [403, { message: 'not from here' }, 'refused'],
    [410, { error: 'over' }, 'over'],
    [200, { server_url: '' }, 'server_unreachable'],
    [200, 'not json', 'server_unreachable'],
  ])('status %i with %j is the problem %s', async (status, body, code) => {
    expect(await codeOf(answering(status, body))).toBe(code);
  });

  it('says so when nobody answers', async () => {
    expect(await codeOf(() => Promise.reject(new TypeError('failed to fetch')))).toBe('server_unreachable');
  });

  it('is refused in sentences', async () => {
    const why = await requestInvitation(answering(403, { message: 'not from here' })).catch((error: unknown) => error);
    expect((why as CallError).problem.detail).toBe('Not from here.');
  });

  it('waits as long as the server asks, within reason', async () => {
    const problem = await requestInvitation(answering(429, {}, { 'Retry-After': '9000' })).catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(CallError);
    expect((problem as CallError).problem.retryAfterS).toBe(120);
  });
});

describe('the site', () => {
  it('names the agent and what it runs on', async () => {
    const body = { agent: { name: 'Clinic' }, ladder: { stt: 'Whisper', tts: 'Piper' } };
    expect(await fetchConfig(answering(200, body))).toEqual({
      agentName: 'Clinic',
      stages: [
        { stage: 'Hearing', label: 'Whisper' },
        { stage: 'Speaking', label: 'Piper' },
      ],
    });
  });

  it('still offers the call when it says nothing', async () => {
    expect(await fetchConfig(answering(500, 'oops'))).toEqual({ agentName: '', stages: [] });
  });
});
