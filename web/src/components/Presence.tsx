import { BarVisualizer, useVoiceAssistant, type AgentState } from '@livekit/components-react';

const WORDS: Partial<Record<AgentState, string>> = {
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
  idle: 'Listening',
};

/** Who is on the other end and what it is doing; the bars follow the voice. */
export function Presence({ agentName }: { agentName: string }) {
  const { state, audioTrack } = useVoiceAssistant();
  return (
    <div className="presence" data-state={state}>
      <div className="orb" aria-hidden="true">
        <BarVisualizer
          state={state}
          {...(audioTrack ? { track: audioTrack } : {})}
          barCount={5}
          options={{ minHeight: 18, maxHeight: 92 }}
        />
      </div>
      <div className="presence-text">
        <span className="presence-name">{agentName}</span>
        <span className="presence-state" role="status" data-testid="agent-state" data-state={state}>
          {WORDS[state] ?? 'Joining'}
        </span>
      </div>
    </div>
  );
}
