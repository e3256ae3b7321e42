import { RoomAudioRenderer, StartAudio, useConnectionState } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';
import type { Problem } from '../call/problems';
import type { Caption } from '../captions/captions';
import { useAgentPresence } from '../hooks/useAgentPresence';
import { useCallId } from '../hooks/useCallId';
import { useElapsed } from '../hooks/useElapsed';
import { Captions } from './Captions';
import { Dock } from './Dock';
import { Presence } from './Presence';
import { clock } from './time';

interface Props {
  agentName: string;
  startedAtMs: number;
  withMicrophone: boolean;
  captions: readonly Caption[];
  onSay: (text: string) => Promise<void>;
  onEnd: () => void;
  onProblem: (problem: Problem) => void;
  onCallId: (id: string) => void;
}

export function CallView({ agentName, startedAtMs, withMicrophone, captions, onSay, onEnd, onProblem, onCallId }: Props) {
  useAgentPresence(onProblem);
  useCallId(onCallId);
  const connection = useConnectionState();
  const elapsedMs = useElapsed(startedAtMs);
  const reconnecting =
    connection === ConnectionState.Reconnecting || connection === ConnectionState.SignalReconnecting;

  return (
    <section className="call">
      <RoomAudioRenderer />
      <div className="call-top">
        <Presence agentName={agentName} />
        <time className="elapsed" data-testid="elapsed" aria-label="Length of the call">
          {clock(elapsedMs)}
        </time>
      </div>
      {reconnecting && (
        <p className="notice" role="status" data-testid="reconnecting">
          The connection is weak. Reconnecting…
        </p>
      )}
      <StartAudio label="Turn the sound on" className="notice notice-action" />
      <Captions captions={captions} agentName={agentName} live />
      <Dock withMicrophone={withMicrophone} onSay={onSay} onEnd={onEnd} />
    </section>
  );
}
