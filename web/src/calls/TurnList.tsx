import { memo, useEffect, useMemo, useRef } from 'react';
import { cost, moment, wait } from './format';
import { Pictures } from './Pictures';
import { Requests } from './Requests';
import type { CallPageData, Picture, ToolRun, Turn } from './types';
import { Waterfall } from './Waterfall';
import { Words } from './Words';
import { reckoned, stretchesIn, wordsOf } from './wordTimes';

interface Props {
  data: CallPageData;
  atMs: number;
  chosen: number | null;
  live: boolean;
  onSeek: (ms: number) => void;
}

const NO_TOOLS: readonly ToolRun[] = [];
const NO_PICTURES: readonly Picture[] = [];

export function TurnList({ data, atMs, chosen, live, onSeek }: Props) {
  const slowestMs = Math.max(1, ...data.turns.map((turn) => turn.latency_ms ?? 0));
  const ready = useRef(false);
  const tools = useMemo(() => byTurn(data.tools), [data.tools]);
  const pictures = useMemo(() => byTurn(data.pictures), [data.pictures]);

  // The browser looked for the turn before there was one.
  useEffect(() => {
    if (ready.current || chosen === null) return;
    ready.current = true;
    document.getElementById(`turn-${chosen}`)?.scrollIntoView();
  }, [chosen]);

  return (
    <section className="turns" aria-label="What was said" {...(live ? { 'aria-live': 'polite' } : {})}>
      {data.turns.length === 0 && <p className="soft">Nothing has been said yet.</p>}
      {data.turns.map((turn) => (
        <TurnCard
          key={turn.id}
          turn={turn}
          callId={data.call.id}
          tools={tools.get(turn.id) ?? NO_TOOLS}
          pictures={pictures.get(turn.id) ?? NO_PICTURES}
          slowestMs={slowestMs}
          speech={data.speech}
          atMs={isNow(turn, atMs) ? atMs : null}
          chosen={turn.id === chosen}
          onSeek={onSeek}
        />
      ))}
    </section>
  );
}

function byTurn<T extends { turn_id: number | null }>(all: readonly T[]): Map<number | null, T[]> {
  const found = new Map<number | null, T[]>();
  for (const one of all) found.set(one.turn_id, [...(found.get(one.turn_id) ?? []), one]);
  return found;
}

function isNow(turn: Turn, atMs: number): boolean {
  const from = turn.started_at_ms ?? turn.audible_at_ms;
  const to = turn.finished_at_ms ?? turn.ended_at_ms;
  return atMs > 0 && from !== null && to !== null && from <= atMs && atMs < to;
}

interface CardProps {
  turn: Turn;
  callId: string;
  tools: readonly ToolRun[];
  pictures: readonly Picture[];
  slowestMs: number;
  speech: CallPageData['speech'];
  /** Where the call is played; null in all other turns. */
  atMs: number | null;
  chosen: boolean;
  onSeek: (ms: number) => void;
}

/** Told apart from the others by what it is given, so that playing draws only the turn that begins and the one that ends. */
const TurnCard = memo(function TurnCard(props: CardProps) {
  const { turn, callId, tools, pictures, slowestMs, speech, atMs, chosen, onSeek } = props;
  const asked = useMemo(() => timesAsked(turn, speech), [turn, speech]);
  const asking = atMs !== null && turn.ended_at_ms !== null && atMs < turn.ended_at_ms;
  const name = turn.id === 0 ? 'Greeting' : `Turn ${turn.id}`;
  return (
    <article
      className="turn"
      id={`turn-${turn.id}`}
      data-testid="turn"
      data-now={atMs !== null}
      data-chosen={chosen}
      aria-label={name}
    >
      <header>
        <h2>
          <a href={`#turn-${turn.id}`}>{name}</a>
        </h2>
        <Marks turn={turn} />
        <span className="turn-cost soft">{cost(turn)}</span>
      </header>
      {turn.user_text !== '' && (
        <Line who="Caller" side="caller" at={turn.started_at_ms} onSeek={onSeek}>
          <Words text={turn.user_text} times={asked} atMs={asking ? atMs : null} onSeek={onSeek} />
        </Line>
      )}
      {(turn.heard_text !== '' || turn.unheard_text !== '') && (
        <Line who="Agent" side="agent" at={turn.audible_at_ms} onSeek={onSeek}>
          <Words text={turn.heard_text} times={turn.heard_words_ms} atMs={atMs} onSeek={onSeek} />
          {turn.unheard_text !== '' && (
            <>
              {' '}
              <del title="Made, and not heard" data-testid="unheard">
                {turn.unheard_text}
              </del>
            </>
          )}
        </Line>
      )}
      {pictures.length > 0 && <Pictures callId={callId} pictures={pictures} />}
      {turn.latency_ms !== null && <Waterfall turn={turn} slowestMs={slowestMs} open={chosen} />}
      {tools.map((tool) => (
        <p className="turn-tool" key={tool.at_ms} data-outcome={tool.outcome}>
          <code>{tool.tool}</code> {tool.outcome === 'done' ? 'took' : `${tool.outcome} after`} {wait(tool.took_ms)}
        </p>
      ))}
      {turn.requests.length > 0 && <Requests turn={turn} />}
    </article>
  );
});

/** When each word of the caller's was said. */
function timesAsked({ user_text, started_at_ms, ended_at_ms }: Turn, speech: CallPageData['speech']): number[] {
  if (started_at_ms === null || ended_at_ms === null) return [];
  return reckoned(wordsOf(user_text), stretchesIn(speech, started_at_ms, ended_at_ms));
}

function Marks({ turn }: { turn: Turn }) {
  return (
    <>
      {turn.interrupted && <span className="tag tag-cut">Interrupted</span>}
      {turn.thrown_away > 0 && (
        <span className="tag" title="Made ready in a pause after which the caller went on">
          {turn.thrown_away === 1 ? '1 answer thrown away' : `${turn.thrown_away} answers thrown away`}
        </span>
      )}
    </>
  );
}

interface LineProps {
  who: string;
  side: 'caller' | 'agent';
  at: number | null;
  onSeek: (ms: number) => void;
  children: React.ReactNode;
}

function Line({ who, side, at, onSeek, children }: LineProps) {
  return (
    <div className="line" data-side={side}>
      <span className="line-who">{who}</span>
      {at !== null && (
        <button
          className="line-at"
          type="button"
          onClick={() => {
            onSeek(at);
          }}
          aria-label={`Go to ${moment(at)}`}
        >
          {moment(at)}
        </button>
      )}
      <p>{children}</p>
    </div>
  );
}
