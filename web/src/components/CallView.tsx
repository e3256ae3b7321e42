import { RoomAudioRenderer, StartAudio } from '@livekit/components-react';
import type { Problem } from '../call/problems';
import type { Caption } from '../captions/captions';
import { useAgentPresence } from '../hooks/useAgentPresence';
import { useCallNotice, type CallNotice } from '../hooks/useCallNotice';
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

const NOTICES: Record<CallNotice, string> = {
  reconnecting: 'The connection is weak. Reconnecting…',
  unheard: 'No sound comes from your microphone. Check that it is on, and that it is the right one.',
  weak: 'Your connection is weak. Words may be lost.',
};

export function CallView({ agentName, startedAtMs, withMicrophone, captions, onSay, onEnd, onProblem, onCallId }: Props) {
  useAgentPresence(onProblem);
  useCallId(onCallId);
  const notice = useCallNotice();
  const elapsedMs = useElapsed(startedAtMs);

  return (
    <section className="call">
      <RoomAudioRenderer />
      <div className="call-top">
        <Presence agentName={agentName} />
        <time className="elapsed" data-testid="elapsed" aria-label="Length of the call">
          {clock(elapsedMs)}
        </time>
      </div>
      {notice && (
        <p className="notice" role="status" data-testid={notice}>
          {NOTICES[notice]}
        </p>
      )}
      <StartAudio label="Turn the sound on" className="notice notice-action" />
      <Captions captions={captions} agentName={agentName} live />
      <Dock withMicrophone={withMicrophone} onSay={onSay} onEnd={onEnd} />
    </section>
  );
}
