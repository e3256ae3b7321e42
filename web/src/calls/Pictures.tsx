import { callUrl } from './api';
import { moment } from './format';
import type { Picture } from './types';

/** What the model was shown in a turn, small. */
export function Pictures({ callId, pictures }: { callId: string; pictures: readonly Picture[] }) {
  return (
    <div className="pictures" data-testid="pictures">
      {pictures.map(({ at_ms, source }) => (
        <figure key={at_ms}>
          <a href={`${callUrl(callId)}/pictures/${at_ms}`} target="_blank" rel="noreferrer">
            <img
              src={`${callUrl(callId)}/pictures/${at_ms}`}
              alt={`What the caller’s ${source} showed at ${moment(at_ms)}`}
              loading="lazy"
            />
          </a>
          <figcaption>
            Looked at the {source}, {moment(at_ms)}
          </figcaption>
        </figure>
      ))}
    </div>
  );
}
