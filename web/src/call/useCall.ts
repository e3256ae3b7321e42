import { DisconnectReason, RoomEvent, type Room } from 'livekit-client';
import { useCallback, useEffect, useReducer, useRef } from 'react';
import { readChosen } from '../devices/devices';
import type { Invitation } from './api';
import { joinCall, newRoom, returnToCall } from './join';
import { nextPhase, type Phase } from './phase';
import { CallError, mediaProblem, problem, type Problem } from './problems';

export interface Call {
  phase: Phase;
  start: (options?: { withMicrophone?: boolean }) => void;
  end: () => void;
  fail: (problem: Problem) => void;
  reset: () => void;
}

/** One call at a time: a fresh room per call, so nothing of the last one can leak into the next. */
export function useCall(onRoom: (room: Room) => void): Call {
  const [phase, dispatch] = useReducer(nextPhase, { name: 'idle' });
  const current = useRef<{ room: Room; abort: AbortController } | null>(null);

  const leave = useCallback(() => {
    current.current?.abort.abort();
    const room = current.current?.room;
    current.current = null;
    void room?.disconnect();
    return room;
  }, []);

  const start = useCallback<Call['start']>(
    ({ withMicrophone = true } = {}) => {
      if (current.current) return;
      const room = newRoom(readChosen());
      const abort = new AbortController();
      current.current = { room, abort };
      onRoom(room);
      let place: Invitation | null = null;
      let returning = false;
      let muted = false;
      room.on(RoomEvent.TrackMuted, (_, { isLocal }) => { muted ||= isLocal; });
      room.on(RoomEvent.TrackUnmuted, (_, { isLocal }) => { muted &&= !isLocal; });
      const over = (lost: Problem | undefined) => {
        if (current.current?.room !== room) return;
        current.current = null;
        const atMs = Date.now();
        dispatch(
          lost ? { type: 'failed', room, atMs, problem: lost } : { type: 'ended', room, atMs, byAgent: true },
        );
      };
      room.on(RoomEvent.Disconnected, (reason) => {
        if (current.current?.room !== room || returning) return;
        const lost = disconnectProblem(reason);
        if (place === null || lost?.code !== 'connection_lost') {
          over(lost);
          return;
        }
        // The agent waits for who was cut off: their place is still there.
        returning = true;
        // Who was muted comes back muted.
        returnToCall(room, place, { withMicrophone: withMicrophone && !muted, signal: abort.signal })
          .then(
            (again) => { place = again; },
            (error: unknown) => { over(error instanceof CallError ? error.problem : problem('connection_lost')); },
          )
          .finally(() => { returning = false; });
      });
      dispatch({ type: 'start', room });
      joinCall(room, {
        withMicrophone,
        onStep: (step) => { dispatch({ type: 'step', room, step }); },
        onMicrophone: (track) => { dispatch({ type: 'microphone', room, track }); },
        signal: abort.signal,
      }).then(
        (invitation) => {
          place = invitation;
          dispatch({ type: 'joined', room, atMs: Date.now(), withMicrophone });
        },
        (error: unknown) => {
          if (abort.signal.aborted) return;
          current.current = null;
          const why = error instanceof CallError ? error.problem : problem('unknown');
          dispatch({ type: 'failed', room, atMs: Date.now(), problem: why });
        },
      );
    },
    [onRoom],
  );

  const end = useCallback(() => {
    const room = leave();
    if (room) dispatch({ type: 'ended', room, atMs: Date.now(), byAgent: false });
  }, [leave]);

  const fail = useCallback(
    (why: Problem) => {
      const room = leave();
      if (room) dispatch({ type: 'failed', room, atMs: Date.now(), problem: why });
    },
    [leave],
  );

  const reset = useCallback(() => { dispatch({ type: 'reset' }); }, []);

  useEffect(() => () => { leave(); }, [leave]);

  return { phase, start, end, fail, reset };
}

/** Undefined when the other side simply hung up. */
function disconnectProblem(reason: DisconnectReason | undefined): Problem | undefined {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
    case DisconnectReason.PARTICIPANT_REMOVED:
      return undefined;
    case DisconnectReason.DUPLICATE_IDENTITY:
      return problem('elsewhere');
    case DisconnectReason.JOIN_FAILURE:
      return mediaProblem();
    default:
      return problem('connection_lost');
  }
}
