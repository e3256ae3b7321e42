import type { SiteConfig } from '../call/api';
import type { StartStep } from '../call/phase';
import { MicIcon } from './icons';

const STEPS: Record<StartStep, string> = {
  microphone: 'Waiting for your microphone. Your browser may be asking.',
  token: 'Opening a line…',
  joining: 'Connecting…',
};

interface Props {
  agentName: string;
  stages: SiteConfig['stages'];
  /** Null before the call is started. */
  step: StartStep | null;
  onStart: () => void;
  onType: () => void;
  onCancel: () => void;
}

export function Welcome({ agentName, stages, step, onStart, onType, onCancel }: Props) {
  return (
    <section className="welcome">
      <button className="call-button" data-testid="start" type="button" onClick={onStart} disabled={step !== null}>
        <span className="call-button-ring" data-busy={step !== null} aria-hidden="true" />
        <MicIcon />
        <span className="visually-hidden">Start the call</span>
      </button>
      <h1>Talk to {agentName}</h1>
      {step === null ? (
        <>
          <p className="lead">Press the button and speak. You can interrupt at any time.</p>
          <button className="quiet" type="button" data-testid="start-typing" onClick={onType}>
            Type instead
          </button>
        </>
      ) : (
        <>
          <p className="lead" role="status" data-testid="step">
            {STEPS[step]}
          </p>
          <button className="quiet" type="button" onClick={onCancel}>
            Cancel
          </button>
        </>
      )}
      {stages.length > 0 && (
        <dl className="stages" data-testid="config">
          {stages.map(({ stage, label }) => (
            <div key={stage}>
              <dt>{stage}</dt>
              <dd>{label}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
