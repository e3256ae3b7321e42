import { useWidth } from '../hooks/useWidth';
import { withRoom } from './marks';
import type { CallPageData, Turn } from './types';

interface Props {
  data: CallPageData;
  lengthMs: number;
  atMs: number;
  onSeek: (ms: number) => void;
}

/** When a turn began, ms; below 0 where nobody knows. */
function begun(turn: Turn): number {
  return turn.started_at_ms ?? turn.audible_at_ms ?? -1;
}

/** Who spoke when: the caller above, the agent below, what was thrown away under them, and each turn's number. */
export function Lanes({ data, lengthMs, atMs, onSeek }: Props) {
  const left = (ms: number) => `${(Math.max(0, ms) / lengthMs) * 100}%`;
  const width = (from: number, to: number) => `${(Math.max(0, Math.min(to, lengthMs) - from) / lengthMs) * 100}%`;
  const seek = (event: { clientX: number; currentTarget: Element }) => {
    const box = event.currentTarget.getBoundingClientRect();
    onSeek(((event.clientX - box.left) / box.width) * lengthMs);
  };
  const [marks, widthPx] = useWidth<HTMLOListElement>();
  const numbered = data.turns.filter((turn) => turn.id !== 0 && begun(turn) >= 0);

  return (
    <>
      {/* The turns below say the same and lead to the same places by keyboard. */}
      <div className="lanes" data-testid="lanes" onClick={seek} aria-hidden="true">
        {data.speech.map(([from, to]) => (
          <i key={from} className="span span-caller" style={{ left: left(from), width: width(from, to) }} />
        ))}
        {data.turns.map((turn) =>
          turn.ended_at_ms !== null && turn.latency_ms !== null ? (
            <i
              key={turn.id}
              className="span span-wait"
              style={{ left: left(turn.ended_at_ms), width: width(turn.ended_at_ms, turn.ended_at_ms + turn.latency_ms) }}
            />
          ) : null,
        )}
        {data.replies.map((reply) => {
          const from = reply.audible_at_ms ?? reply.began_at_ms;
          const to = reply.ended_at_ms ?? lengthMs;
          return (
            <i
              key={reply.reply_id}
              className="span span-agent"
              data-heard={reply.heard}
              style={{ left: left(from), width: width(from, to) }}
            />
          );
        })}
        <i className="lanes-now" style={{ left: left(atMs) }} />
      </div>
      <ol className="marks" aria-label="Turns by time" ref={marks}>
        {withRoom(numbered, begun, lengthMs, widthPx).map((turn) => (
          <li key={turn.id} style={{ left: left(begun(turn)) }}>
            <a href={`#turn-${turn.id}`}>{turn.id}</a>
          </li>
        ))}
      </ol>
    </>
  );
}
