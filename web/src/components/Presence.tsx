import { useLocalParticipant, useVoiceAssistant, type AgentState } from '@livekit/components-react';
import type { LocalAudioTrack } from 'livekit-client';
import { Orb } from './Orb';

const WORDS: Partial<Record<AgentState, string>> = {
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
  idle: 'Listening',
};

/** Who is on the other end and what it is doing; while the line is broken, nobody can say. */
export function Presence({ agentName, broken }: { agentName: string; broken: boolean }) {
  const { state, audioTrack } = useVoiceAssistant();
  const { microphoneTrack, isMicrophoneEnabled } = useLocalParticipant();
  const microphone = isMicrophoneEnabled ? (microphoneTrack?.track as LocalAudioTrack | undefined) : undefined;
  return (
    <div className="presence">
      <Orb state={broken ? 'broken' : state} voice={audioTrack} microphone={microphone} />
      <div className="presence-text">
        <span className="presence-name">{agentName}</span>
        <span className="presence-state" role="status" data-testid="agent-state" data-state={state}>
          {broken ? 'Connection lost' : (WORDS[state] ?? 'Joining')}
        </span>
      </div>
    </div>
  );
}
