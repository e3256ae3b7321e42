import type { LocalAudioTrack } from 'livekit-client';
import type { StartStep } from '../call/phase';
import { Meter } from '../devices/Meter';
import { useFocus } from '../hooks/useFocus';
import { Orb } from './Orb';

const STEPS: Record<StartStep, string> = {
  microphone: 'Waiting for your microphone. Your browser may be asking.',
  token: 'Opening a line…',
  joining: 'Connecting…',
};

interface Props {
  agentName: string;
  step: StartStep;
  microphone: LocalAudioTrack | undefined;
  onCancel: () => void;
}

/** From the click to the call. What is said once the microphone is open reaches the agent, so it is said that it does. */
export function Joining({ agentName, step, microphone, onCancel }: Props) {
  const title = useFocus<HTMLHeadingElement>();
  return (
    <section className="welcome">
      <div className="welcome-call">
        <Orb state="connecting" microphone={microphone} large />
        <h1 ref={title} tabIndex={-1}>
          Calling {agentName}
        </h1>
        <p className="lead" role="status" data-testid="step">
          {STEPS[step]} {microphone && <span className="joining-speak">You can speak already.</span>}
        </p>
        {microphone && <Meter track={microphone} label="Microphone level" />}
      </div>
      <div className="welcome-more">
        <button className="quiet" type="button" data-testid="cancel" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </section>
  );
}
