import { describe, expect, it } from 'vitest';
import { ApiError, filtersOf, get, NO_FILTERS, queryOf } from './api';

const answering =
  (status: number, body: unknown): typeof fetch =>
  () =>
    Promise.resolve(new Response(typeof body === 'string' ? body : JSON.stringify(body), { status }));

async function said(fetcher: typeof fetch): Promise<[string, number]> {
  const failure = await get('/api/calls', fetcher).catch((error: unknown) => error);
  if (!(failure instanceof ApiError)) throw new Error('it did not fail');
  return [failure.message, failure.status];
}

describe('filters', () => {
  it('go into the address and come back', () => {
    const filters = { ...NO_FILTERS, q: 'two words', agent: 'A & B' };
    expect(queryOf(filters)).toBe('?q=two+words&agent=A+%26+B');
    expect(filtersOf(queryOf(filters))).toEqual(filters);
    expect(queryOf(NO_FILTERS)).toBe('');
  });
});

describe('an answer', () => {
  it('is what was asked for', async () => {
    expect(await get('/x', answering(200, { calls: [] }))).toEqual({ calls: [] });
  });

  it.each([
    [403, { detail: 'calls are shown on the own machine' }, 'Calls are shown on the own machine.'],
    [401, { error: 'unauthorized', message: 'who are you' }, 'Who are you.'],
    [422, { detail: [{ loc: ['query'] }] }, 'A filter has a value that cannot be used.'],
    [502, 'bad gateway', 'The server said 502.'],
  ])('with status %i is told in words', async (status, body, words) => {
    expect(await said(answering(status, body))).toEqual([words, status]);
  });

  it('that never comes is told too', async () => {
    expect(await said(() => Promise.reject(new TypeError('failed')))).toEqual([
      'The server does not answer. Is it running?',
      0,
    ]);
  });
});
