import type { LocalAudioTrack, Room } from 'livekit-client';
import type { Problem } from './problems';

export type StartStep = 'microphone' | 'token' | 'joining';

/** Where the page is in the life of a call. One phase at a time, one writer: `nextPhase`. */
export type Phase =
  | { name: 'idle' }
  | { name: 'starting'; room: Room; step: StartStep; microphone?: LocalAudioTrack }
  | { name: 'live'; room: Room; startedAtMs: number; withMicrophone: boolean }
  | { name: 'ended'; durationMs: number; byAgent: boolean }
  | { name: 'failed'; problem: Problem; durationMs: number };

export type PhaseEvent =
  | { type: 'start'; room: Room }
  | { type: 'step'; room: Room; step: StartStep }
  | { type: 'microphone'; room: Room; track: LocalAudioTrack }
  | { type: 'joined'; room: Room; atMs: number; withMicrophone: boolean }
  | { type: 'ended'; room: Room; atMs: number; byAgent: boolean }
  | { type: 'failed'; room: Room; atMs: number; problem: Problem }
  | { type: 'reset' };

/** Events of a room that is not the current one are late, and change nothing. */
export function nextPhase(phase: Phase, event: PhaseEvent): Phase {
  if (event.type === 'reset') return phase.name === 'ended' || phase.name === 'failed' ? { name: 'idle' } : phase;
  const busy = phase.name === 'starting' || phase.name === 'live';
  if (event.type === 'start') return busy ? phase : { name: 'starting', room: event.room, step: 'microphone' };
  if (!busy || phase.room !== event.room) return phase;
  const durationMs = 'atMs' in event && phase.name === 'live' ? event.atMs - phase.startedAtMs : 0;
  switch (event.type) {
    case 'step':
      return phase.name === 'starting' ? { ...phase, step: event.step } : phase;
    case 'microphone':
      return phase.name === 'starting' ? { ...phase, microphone: event.track } : phase;
    case 'joined':
      if (phase.name !== 'starting') return phase;
      return { name: 'live', room: event.room, startedAtMs: event.atMs, withMicrophone: event.withMicrophone };
    case 'ended':
      // Cancelled before anybody was there: back to the start, there is no call to look back on.
      return phase.name === 'live' ? { name: 'ended', durationMs, byAgent: event.byAgent } : { name: 'idle' };
    case 'failed':
      return { name: 'failed', problem: event.problem, durationMs };
  }
}
