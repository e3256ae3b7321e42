import { useCallback, useEffect, useRef, useState } from 'react';
import { callUrl } from './api';
import { cost, ending, length, share, started, usd, wait } from './format';
import { Notice } from './Notice';
import { Side } from './Side';
import { Timeline, type Player } from './Timeline';
import { TurnList } from './TurnList';
import type { CallPageData } from './types';
import { useCall } from './useCall';
import { useKeys } from './useKeys';

export function CallPage({ id }: { id: string }) {
  const { data, error, again } = useCall(id);
  if (error !== null && data === null) {
    return error.status === 404 ? (
      <Notice title="There is no such call" detail="It may have been deleted. The list has those that are kept." />
    ) : (
      <Notice title="The call cannot be shown" detail={error.message} onRetry={again} />
    );
  }
  return data === null ? (
    <p className="soft loading" role="status">
      Loading the call…
    </p>
  ) : (
    <Loaded data={data} />
  );
}

function Loaded({ data }: { data: CallPageData }) {
  const { call } = data;
  const player = useRef<Player | null>(null);
  const [atMs, setAtMs] = useState(0);
  const chosen = useChosenTurn();
  const live = call.state === 'live';

  useEffect(() => {
    document.title = `${call.agent || 'Call'}, ${started(call.started_at)} · repartee`;
  }, [call.agent, call.started_at]);

  const keep = useCallback((made: Player | null) => {
    player.current = made;
  }, []);
  const toggle = useCallback(() => player.current?.toggle(), []);
  const seek = useCallback((ms: number) => {
    player.current?.seek(ms);
    setAtMs(ms);
  }, []);
  useKeys(data.turns, atMs, seek, data.recorded ? toggle : null);

  return (
    <article className="call-page" data-testid="call-ready" data-state={call.state}>
      <p className="crumb">
        <a href="/calls">All calls</a>
      </p>
      <div className="page-title">
        <h1>{call.agent || 'Unknown agent'}</h1>
        <span className="state" data-state={call.state} data-reason={call.reason ?? ''} data-testid="state">
          {ending(call.state, call.reason)}
        </span>
        <Files data={data} />
      </div>
      <Facts data={data} />
      {call.erased && (
        <p className="notice">What was said in this call was erased. Its times and its cost are kept.</p>
      )}
      <Timeline data={data} atMs={atMs} onPlayer={keep} onToggle={toggle} onTime={setAtMs} onSeek={seek} />
      <div className="call-columns">
        <TurnList data={data} atMs={atMs} chosen={chosen} live={live} onSeek={seek} />
        <Side data={data} />
      </div>
    </article>
  );
}

function Facts({ data }: { data: CallPageData }) {
  const { call, latency } = data;
  const facts: [string, string][] = [
    ['Started', started(call.started_at)],
    ['Length', length(call.call_s ?? data.length_ms / 1000)],
    ['Answer, median', wait(latency.p50_ms)],
    ['Answer, slowest', wait(latency.slowest_ms)],
    ['Cost', cost(data.bill)],
    ['Of it unheard', `${usd(data.bill.wasted_usd)} (${share(data.bill.wasted_usd, data.bill.cost_usd)})`],
  ];
  if (call.caller_id !== null) facts.splice(1, 0, ['Caller', call.caller_id]);
  return (
    <dl className="facts" data-testid="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Files({ data }: { data: CallPageData }) {
  const url = callUrl(data.call.id);
  const words = data.turns.some((turn) => turn.user_text !== '');
  return (
    <nav className="files" aria-label="Files of this call">
      {words && (
        <a className="primary" href={`${url}/test.yaml`} download data-testid="make-test">
          Make a test of this call
        </a>
      )}
      <a className="quiet" href={`${url}/export.json`} download>
        JSON
      </a>
      {words && (
        <a className="quiet" href={`${url}/export.srt`} download>
          Subtitles
        </a>
      )}
      {data.recorded && (
        <a className="quiet" href={`${url}/export.wav`} download data-testid="wav">
          WAV
        </a>
      )}
    </nav>
  );
}

/** The turn that the address names: `#turn-3`. */
function useChosenTurn(): number | null {
  const [hash, setHash] = useState(window.location.hash);
  useEffect(() => {
    const changed = () => {
      setHash(window.location.hash);
    };
    window.addEventListener('hashchange', changed);
    return () => {
      window.removeEventListener('hashchange', changed);
    };
  }, []);
  const number = /^#turn-(\d+)$/.exec(hash)?.[1];
  return number === undefined ? null : Number(number);
}
