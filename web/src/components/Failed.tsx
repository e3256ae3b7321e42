import type { Problem } from '../call/problems';
import { useCountdown } from '../hooks/useCountdown';

interface Props {
  problem: Problem;
  onRetry: () => void;
  onType: () => void;
  onBack: () => void;
}

export function Failed({ problem, onRetry, onType, onBack }: Props) {
  const waitS = useCountdown(problem.retryAfterS ?? 0);
  return (
    <section className="after" role="alert" data-testid="error" data-code={problem.code}>
      <h1>{problem.title}</h1>
      <p className="lead">{problem.detail}</p>
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
