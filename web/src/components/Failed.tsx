import { useId } from 'react';
import type { Problem } from '../call/problems';
import { useCountdown } from '../hooks/useCountdown';
import { useFocus } from '../hooks/useFocus';

interface Props {
  problem: Problem;
  onRetry: () => void;
  onType: () => void;
  onBack: () => void;
}

export function Failed({ problem, onRetry, onType, onBack }: Props) {
  const detail = useId();
  const waitS = useCountdown(problem.retryAfterS ?? 0);
  const title = useFocus<HTMLHeadingElement>();
  return (
    <section className="after" data-testid="error" data-code={problem.code}>
      <h1 ref={title} tabIndex={-1} aria-describedby={detail}>
        {problem.title}
      </h1>
      <p className="lead" id={detail}>
        {problem.detail}
      </p>
      <div className="actions">
        <button className="primary" type="button" data-testid="again" onClick={onRetry} disabled={waitS > 0}>
          {waitS > 0 ? `Try again in ${waitS} s` : 'Try again'}
        </button>
        {problem.canType && (
          <button className="quiet" type="button" onClick={onType}>
            Type instead
          </button>
        )}
        <button className="quiet" type="button" onClick={onBack}>
          Back
        </button>
      </div>
    </section>
  );
}
