import { useId, type ComponentType } from 'react';
import type { Problem, ProblemCode } from '../call/problems';
import { useCountdown } from '../hooks/useCountdown';
import { useFocus } from '../hooks/useFocus';
import { BrokenLineIcon, ClockIcon, MicOffIcon, WarningIcon } from './icons';

interface Props {
  problem: Problem;
  onRetry: () => void;
  onType: () => void;
  onBack: () => void;
}

/** What it is about, to be seen before it is read; the warning for all others. */
const ICONS: Partial<Record<ProblemCode, ComponentType>> = {
  mic_denied: MicOffIcon,
  mic_missing: MicOffIcon,
  mic_busy: MicOffIcon,
  insecure_page: MicOffIcon,
  capacity: ClockIcon,
  spent: ClockIcon,
  rate_limited: ClockIcon,
  server_unreachable: BrokenLineIcon,
  media_unreachable: BrokenLineIcon,
  connection_lost: BrokenLineIcon,
  over: BrokenLineIcon,
};

export function Failed({ problem, onRetry, onType, onBack }: Props) {
  const detail = useId();
  const waitS = useCountdown(problem.retryAfterS ?? 0);
  const title = useFocus<HTMLHeadingElement>();
  const Icon = ICONS[problem.code] ?? WarningIcon;
  return (
    <section className="welcome" data-testid="error" data-code={problem.code}>
      <div className="welcome-call">
        <span className="badge" aria-hidden="true">
          <Icon />
        </span>
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
      </div>
    </section>
  );
}
