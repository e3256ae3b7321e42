import { describe, expect, it } from 'vitest';
import { cost, ending, moment, percent, quantities, share, trouble, usd, wait } from './format';

describe('money', () => {
  it.each([
    ['0', '$0'],
    ['0.0000812', '$0.000081'],
    ['0.0041668', '$0.0042'],
    ['0.0416668', '$0.042'],
    ['1.239', '$1.24'],
  ])('%s is %s', (amount, said) => {
    expect(usd(amount)).toBe(said);
  });

  it('never shows a price that is not known as nothing', () => {
    expect(cost({ cost_usd: '0', wasted_usd: '0', unpriced: 2 })).toBe('?');
    expect(cost({ cost_usd: '0.5', wasted_usd: '0', unpriced: 1 })).toBe('$0.50 + ?');
    expect(cost({ cost_usd: '0', wasted_usd: '0', unpriced: 0 })).toBe('$0');
  });

  it('has a share of nothing too', () => {
    expect(share('0.25', '1')).toBe('25 %');
    expect(share('0', '0')).toBe('0 %');
  });
});

describe('a share', () => {
  it.each([
    [0, '0 %'],
    [0.0004, 'less than 0.1 %'],
    [0.0042, '0.4 %'],
    [0.121, '12 %'],
  ])('%s is %s', (part, said) => {
    expect(percent(part)).toBe(said);
  });
});

describe('time', () => {
  it('is told to a tenth in a call, and a wait as people say it', () => {
    expect(moment(62_480)).toBe('1:02.4');
    expect(wait(null)).toBe('–');
    expect(wait(640.4)).toBe('640 ms');
    expect(wait(1_105)).toBe('1.10 s');
    expect(wait(12_345)).toBe('12.3 s');
  });
});

describe('words', () => {
  it('says how a call ended', () => {
    expect(ending('live', null)).toBe('Live');
    expect(ending('lost', null)).toBe('No end known');
    expect(ending('ended', 'hung_up')).toBe('Agent hung up');
    expect(ending('ended', 'a_new_reason')).toBe('a new reason');
  });

  it('names what was used, and what went wrong, also when it is new', () => {
    expect(quantities({ audio_s: '8', characters: '60' })).toBe('8.0 s of audio, 60 characters');
    expect(trouble('network.moved', { to: 'tcp' })).toBe('network moved, to tcp');
    expect(trouble('provider.realtime_lost', { why: 'timeout' })).toBe(
      'The model that hears and speaks was given up (timeout); the others answer',
    );
    expect(quantities({ tokens_in: '9', audio_tokens_in: '4' })).toBe('9 tokens in, 4 of those in are sound');
  });

  it.each([
    ['provider.failed', { processor: 'OpenAI' }, 'OpenAI failed'],
    [
      'provider.failed',
      { stage: 'llm', provider: 'openai', model: 'gpt-4.1', why: 'timeout' },
      'Model: openai:gpt-4.1 did not answer in time',
    ],
    ['provider.switched', { stage: 'tts', before: 'a:1', now: 'b:2', why: 'cut' }, 'Voice: b:2 took over from a:1'],
    ['provider.switched', { stage: 'tts', before: 'b:2', now: 'a:1', why: 'healed' }, 'Voice: back to a:1'],
    ['provider.exhausted', { stage: 'stt' }, 'Speech-to-text: nobody was left to ask'],
    ['provider.breaker', { provider: 'openai', model: 'm', now: 'open' }, 'openai:m is not asked for a while'],
    ['network.quality', { quality: 'poor' }, 'The caller’s connection was poor'],
    ['budget', { state: 'saving', limit: 'day' }, 'The budget of the day is nearly spent'],
    ['budget.spent', { limit: 'none' }, 'The budget is spent'],
    ['mcp.failed', { server: 'crm', why: 'timeout' }, 'The tool server crm could not be used (timeout)'],
  ])('says of %s what happened', (kind, data, said) => {
    expect(trouble(kind, data)).toBe(said);
  });
});
