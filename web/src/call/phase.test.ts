import { Room } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { nextPhase, type Phase } from './phase';
import { problem } from './problems';

const room = new Room();
const earlier = new Room();
const live: Phase = { name: 'live', room, startedAtMs: 1_000, withMicrophone: true };
const starting: Phase = { name: 'starting', room, step: 'token' };

describe('the life of a call', () => {
  it('starts once, however often the button is pressed', () => {
    const first = nextPhase({ name: 'idle' }, { type: 'start', room });
    expect(first.name).toBe('starting');
    expect(nextPhase(first, { type: 'start', room: earlier })).toBe(first);
  });

  it('counts from joining to the end', () => {
    const ended = nextPhase(live, { type: 'ended', room, atMs: 8_000, byAgent: true });
    expect(ended).toEqual({ name: 'ended', durationMs: 7_000, byAgent: true });
  });

  it('goes back to the start when cancelled before anybody was there', () => {
    expect(nextPhase(starting, { type: 'ended', room, atMs: 5, byAgent: false })).toEqual({ name: 'idle' });
  });

  it('ignores what an earlier call still has to say', () => {
    for (const type of ['joined', 'ended', 'failed', 'step'] as const) {
      const event = { type, room: earlier, atMs: 9, byAgent: true, withMicrophone: true, step: 'joining' as const, problem: problem('unknown') };
      expect(nextPhase(live, event)).toBe(live);
      expect(nextPhase(starting, event)).toBe(starting);
    }
  });

  it('never goes from live back to starting', () => {
    expect(nextPhase(live, { type: 'step', room, step: 'microphone' })).toBe(live);
    expect(nextPhase(live, { type: 'joined', room, atMs: 1, withMicrophone: false })).toBe(live);
  });

  it('keeps the problem, and the length of what had been a call', () => {
    const lost = problem('connection_lost');
    expect(nextPhase(live, { type: 'failed', room, atMs: 3_000, problem: lost })).toEqual({
      name: 'failed',
      problem: lost,
      durationMs: 2_000,
    });
  });

  it('resets only from an end', () => {
    expect(nextPhase(live, { type: 'reset' })).toBe(live);
    expect(nextPhase({ name: 'ended', durationMs: 1, byAgent: false }, { type: 'reset' })).toEqual({ name: 'idle' });
  });
});
