import { RoomAudioRenderer, StartAudio } from '@livekit/components-react';
import type { Problem } from '../call/problems';
import type { Caption } from '../captions/captions';
import { useAgentPresence } from '../hooks/useAgentPresence';
import { useCallId } from '../hooks/useCallId';
import { isBroken, useCallNotice, type CallNotice } from '../hooks/useCallNotice';
import { useElapsed } from '../hooks/useElapsed';
import { useFocus } from '../hooks/useFocus';
import { useWakeLock } from '../hooks/useWakeLock';
import { CallSound } from './CallSound';
import { Captions } from './Captions';
import { Dock } from './Dock';
import { Presence } from './Presence';
import { clock } from './time';

interface Props {
  agentName: string;
  startedAtMs: number;
  withMicrophone: boolean;
  captions: readonly Caption[];
  onSay: (text: string) => boolean;
  onEnd: () => void;
  onProblem: (problem: Problem) => void;
  onCallId: (id: string) => void;
}

const NOTICES: Record<CallNotice, string> = {
  offline: 'You are offline. The agent waits for you; the call goes on as soon as you are back.',
  reconnecting: 'The connection broke. Reconnecting…',
  returning: 'The connection broke. Going back to your call…',
  unheard: 'No sound comes from your microphone. Check that it is on, and that it is the right one.',
  weak: 'Your connection is weak. Words may be lost.',
  back: 'Connected again.',
};

export function CallView({ agentName, startedAtMs, withMicrophone, captions, onSay, onEnd, onProblem, onCallId }: Props) {
  useAgentPresence(onProblem);
  useCallId(onCallId);
  useWakeLock();
  const title = useFocus<HTMLHeadingElement>();
  const notice = useCallNotice();
  const elapsedMs = useElapsed(startedAtMs);

  return (
    <section className="call">
      <RoomAudioRenderer />
      <h1 className="visually-hidden" ref={title} tabIndex={-1}>
        Call with {agentName}
      </h1>
      <div className="call-top">
        <Presence agentName={agentName} broken={isBroken(notice)} />
        <div className="call-side">
          <time className="elapsed" data-testid="elapsed" aria-label="Length of the call" role="timer">
            {clock(elapsedMs)}
          </time>
          {withMicrophone && <CallSound />}
        </div>
      </div>
      {/* Always there, so that screen readers say what comes into it. */}
      <p className="notice" role="status" data-testid="line" data-line={notice ?? 'good'}>
        {notice && NOTICES[notice]}
      </p>
      <StartAudio label="Tap to turn the sound on" className="primary start-audio" />
      <Captions captions={captions} agentName={agentName} live />
      <Dock withMicrophone={withMicrophone} onSay={onSay} onEnd={onEnd} />
    </section>
  );
}
