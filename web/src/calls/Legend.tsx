import type { CallPageData } from './types';

/** What the marks on the lanes are: of those that this call has. */
export function Legend({ data }: { data: CallPageData }) {
  const heard = new Set(data.replies.map((reply) => reply.heard));
  const waited = data.turns.some((turn) => turn.latency_ms !== null && turn.ended_at_ms !== null);
  if (!waited && !heard.has('part') && !heard.has('none')) return null;
  return (
    <ul className="lanes-legend soft" data-testid="legend">
      {waited && (
        <li>
          <i className="span span-wait" aria-hidden="true" />
          wait for an answer
        </li>
      )}
      {heard.has('part') && (
        <li>
          <i className="span span-agent" data-heard="part" aria-hidden="true" />
          interrupted
        </li>
      )}
      {heard.has('none') && (
        <li>
          <i className="span span-agent" data-heard="none" aria-hidden="true" />
          made ready in a pause and thrown away: the caller went on
        </li>
      )}
    </ul>
  );
}
