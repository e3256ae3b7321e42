import { clock } from '../components/time';
import type { Money, Owner, State } from './types';

const HOUR_MS = 3_600_000;

/** A moment of a call: 0:07.4, 12:30.0. */
export function moment(ms: number): string {
  const tenths = Math.floor(Math.max(0, ms) / 100) % 10;
  return `${clock(ms)}.${tenths}`;
}

/** A wait: 640 ms, 1.24 s. */
export function wait(ms: number | null): string {
  if (ms === null) return '–';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`;
}

export function length(seconds: number | null): string {
  return seconds === null ? '–' : clock(seconds * 1000);
}

/** US dollars with two digits that say something: $1.23, $0.0041, $0. */
export function usd(amount: string | number): string {
  const value = Number(amount);
  if (value === 0) return '$0';
  if (value >= 0.1) return `$${value.toFixed(2)}`;
  const digits = Math.min(9, 1 - Math.floor(Math.log10(value)));
  return `$${value.toFixed(digits)}`;
}

/** What something cost; with prices that are not known, that it was more. */
export function cost({ cost_usd, unpriced }: Money): string {
  if (unpriced > 0) return Number(cost_usd) > 0 ? `${usd(cost_usd)} + ?` : '?';
  return usd(cost_usd);
}

export function share(part: string, whole: string): string {
  const of = Number(whole);
  return of > 0 ? `${Math.round((Number(part) / of) * 100)} %` : '0 %';
}

/** A share of one: 0 %, 0.4 %, 12 %; what is not nothing is not shown as nothing. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return 'less than 0.1 %';
  return `${value === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} %`;
}

/** Today only the time, else the day too. */
export function started(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const time = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (at.toDateString() === now.toDateString()) return `Today, ${time}`;
  const near = Math.abs(now.getTime() - at.getTime()) < 300 * 24 * HOUR_MS;
  const day = at.toLocaleDateString([], { day: 'numeric', month: 'short', ...(near ? {} : { year: 'numeric' }) });
  return `${day}, ${time}`;
}

/** Every `EndReason` of the server's, which a test of the server's compares. */
const REASONS: Record<string, string> = {
  caller_left: 'Caller hung up',
  caller_lost: 'Caller lost their connection',
  no_caller: 'Nobody came',
  silent: 'Caller fell silent',
  stopped: 'Server stopped',
  room_closed: 'Room closed',
  media_lost: 'Media server lost',
  max_duration: 'Longest length reached',
  hung_up: 'Agent hung up',
  budget: 'Budget spent',
  trouble: 'No answer could be made',
  handed_over: 'Taken over by another worker',
  error: 'Error',
};

export function ending(state: State, reason: string | null): string {
  if (state === 'live') return 'Live';
  if (state === 'lost') return 'No end known';
  return reason === null ? 'Ended' : (REASONS[reason] ?? reason.replaceAll('_', ' '));
}

export const OWNER_NAMES: Record<Owner, string> = {
  endpointing: 'Endpointing',
  'speech-to-text': 'Speech-to-text',
  model: 'Model',
  tools: 'Tools',
  voice: 'Voice',
  network: 'Network',
  us: 'Server',
};

const STAGES: Record<string, string> = {
  stt: 'Speech-to-text',
  llm: 'Model',
  tts: 'Voice',
  embedding: 'Meaning',
};

export function stageName(stage: string): string {
  return STAGES[stage] ?? stage;
}

const UNITS: [string, (amount: number) => string][] = [
  ['audio_s', (s) => `${s.toFixed(1)} s of audio`],
  ['tokens_in', (n) => `${n.toLocaleString()} tokens in`],
  ['tokens_cached', (n) => `${n.toLocaleString()} of them cached`],
  ['tokens_out', (n) => `${n.toLocaleString()} out`],
  ['audio_tokens_in', (n) => `${n.toLocaleString()} of those in are sound`],
  ['audio_tokens_out', (n) => `${n.toLocaleString()} of those out are sound`],
  ['characters', (n) => `${n.toLocaleString()} characters`],
];

export function quantities(used: Record<string, string>): string {
  return UNITS.flatMap(([unit, said]) => {
    const amount = Number(used[unit] ?? 0);
    return amount > 0 ? [said(amount)] : [];
  }).join(', ');
}

/** What a request to a vendor came to. */
const WHY: Record<string, string> = {
  error: 'answered with an error, or was not reached',
  timeout: 'did not answer in time',
  limited: 'takes no more requests for a while (429)',
  refused: 'refused the key, its quota or the model',
  busy: 'had no place free',
  cut: 'broke off in the middle',
  open: 'was not asked, as it had failed before',
};

const BREAKER: Record<string, string> = {
  open: 'is not asked for a while',
  half_open: 'is tried again',
  closed: 'works again',
  refused: 'is not asked any more: it refuses the key',
};

const BUDGETS: Record<string, string> = { call: 'of this call', day: 'of the day', installation: 'of the whole server' };

/** Something that went wrong, in a sentence. */
export function trouble(kind: string, data: Record<string, unknown>): string {
  const named = (key: string) => (typeof data[key] === 'string' ? data[key] : '');
  const who = [named('provider'), named('model')].filter(Boolean).join(':') || named('processor') || 'A vendor';
  const stage = named('stage') ? `${stageName(named('stage'))}: ` : '';
  switch (kind) {
    case 'provider.failed':
      return `${stage}${who} ${WHY[named('why')] ?? 'failed'}`;
    case 'provider.switched':
      return named('why') === 'healed'
        ? `${stage}back to ${named('now')}`
        : `${stage}${named('now')} took over from ${named('before')}`;
    case 'provider.exhausted':
      return `${stage}nobody was left to ask`;
    case 'provider.breaker':
      return `${who} ${BREAKER[named('now')] ?? named('now')}`;
    case 'provider.realtime_lost':
      return `The model that hears and speaks was given up${named('why') ? ` (${named('why')})` : ''}; the others answer`;
    case 'stt.failed':
      return 'Speech-to-text failed for a piece of speech';
    case 'network.reconnecting':
      return 'The connection broke; reconnecting';
    case 'network.reconnected':
      return 'The connection is back';
    case 'network.quality':
      return `The caller’s connection was ${named('quality')}`;
    case 'network.codec':
      return named('mime') ? `The caller’s sound came as ${named('mime')}` : 'The caller’s sound could not be received';
    case 'budget':
      return `The budget ${BUDGETS[named('limit')] ?? ''} is nearly spent`.replace('  ', ' ');
    case 'budget.spent':
      return `The budget ${BUDGETS[named('limit')] ?? ''} is spent`.replace('  ', ' ');
    case 'mcp.failed':
      return `The tool server ${named('server')} could not be used (${named('why')})`;
    case 'price.unknown':
      return `No price is known for ${named('model') || 'a model'}`;
    default: {
      const more = Object.entries(data).map(([key, value]) => `${key} ${String(value)}`);
      return [kind.replaceAll('.', ' '), ...more].join(', ');
    }
  }
}
