import { useConnectionState, useVoiceAssistant } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';
import { useEffect, useRef } from 'react';
import { problem, type Problem } from '../call/problems';

const ABSENT_MS = 20_000;
/** Long enough for another process to take a crashed agent's place. */
const GONE_MS = 10_000;

/** Reports an agent that never came, or that left and did not come back. */
export function useAgentPresence(onProblem: (problem: Problem) => void): void {
  const present = useVoiceAssistant().agent !== undefined;
  const connected = useConnectionState() === ConnectionState.Connected;
  const wasPresent = useRef(false);
  useEffect(() => {
    if (present) {
      wasPresent.current = true;
      return undefined;
    }
    if (!connected) return undefined; // nobody can be seen from here
    const left = wasPresent.current;
    const timer = setTimeout(
      () => {
        onProblem(problem(left ? 'agent_left' : 'agent_absent'));
      },
      left ? GONE_MS : ABSENT_MS,
    );
    return () => {
      clearTimeout(timer);
    };
  }, [present, connected, onProblem]);
}
