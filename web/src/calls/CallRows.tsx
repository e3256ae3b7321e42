import { cost, ending, length, share, started, usd, wait } from './format';
import type { CallHead } from './types';

/** One row per call; the whole row leads to its page, by one link, so it is one stop of the keyboard. */
export function CallRows({ calls }: { calls: readonly CallHead[] }) {
  return (
    <table className="rows" data-testid="calls-ready">
      <caption className="visually-hidden">Calls, the newest first</caption>
      <thead>
        <tr>
          <th scope="col">Started</th>
          <th scope="col">Agent</th>
          <th scope="col">How it ended</th>
          <th scope="col" className="number">
            Length
          </th>
          <th scope="col" className="number">
            Turns
          </th>
          <th scope="col" className="number">
            Answer, median
          </th>
          <th scope="col" className="number">
            Slowest
          </th>
          <th scope="col" className="number">
            Cost
          </th>
          <th scope="col" className="number">
            Unheard
          </th>
        </tr>
      </thead>
      <tbody>
        {calls.map((call) => (
          <Row key={call.id} call={call} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ call }: { call: CallHead }) {
  const turn = call.turn_id === undefined ? '' : `#turn-${call.turn_id}`;
  return (
    <tr data-testid="call-row" data-state={call.state}>
      <td className="row-started">
        <a href={`/calls/${call.id}${turn}`}>
          <time dateTime={call.started_at}>{started(call.started_at)}</time>
        </a>
        {call.snippet !== undefined && <q className="row-snippet">{call.snippet}</q>}
      </td>
      <td className="row-agent">
        {call.agent || 'Unknown'}
        {call.caller_id !== null && <span className="soft"> with {call.caller_id}</span>}
      </td>
      <td>
        <span className="state" data-state={call.state} data-reason={call.reason ?? ''}>
          {ending(call.state, call.reason)}
        </span>
      </td>
      <td className="number" data-label="Length">
        {length(call.call_s)}
      </td>
      <td className="number" data-label="Turns">
        {call.turns}
      </td>
      <td className="number" data-label="Answer, median">
        {wait(call.latency_ms)}
      </td>
      <td className="number" data-label="Slowest">
        {wait(call.slowest_ms)}
      </td>
      <td className="number" data-label="Cost">
        {cost(call)}
      </td>
      <td className="number soft" data-label="Unheard" title={`${usd(call.wasted_usd)} for what nobody heard`}>
        {share(call.wasted_usd, call.cost_usd)}
      </td>
    </tr>
  );
}
