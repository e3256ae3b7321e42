import type { Caption } from '../captions/captions';
import { useCallPage } from '../hooks/useCallPage';
import { useFocus } from '../hooks/useFocus';
import { Captions } from './Captions';
import { clock } from './time';

interface Props {
  durationMs: number;
  byAgent: boolean;
  agentName: string;
  captions: readonly Caption[];
  /** Null when the agent has not said it. */
  callId: string | null;
  onAgain: () => void;
  onBack: () => void;
}

export function Ended({ durationMs, byAgent, agentName, captions, callId, onAgain, onBack }: Props) {
  const callPage = useCallPage(callId);
  const title = useFocus<HTMLHeadingElement>();
  return (
    <section className="after">
      <h1 ref={title} tabIndex={-1}>
        {byAgent ? `${agentName} ended the call` : 'Call ended'}
      </h1>
      <p className="lead">
        You talked for <time data-testid="duration">{clock(durationMs)}</time>.
      </p>
      <div className="actions">
        <button className="primary" type="button" data-testid="again" onClick={onAgain}>
          Call again
        </button>
        <button className="quiet" type="button" onClick={onBack}>
          Back
        </button>
        {callPage !== null && (
          <a className="quiet link" href={callPage} data-testid="call-page">
            See what happened in it
          </a>
        )}
      </div>
      {captions.length > 0 && <Captions captions={captions} agentName={agentName} live={false} />}
    </section>
  );
}
