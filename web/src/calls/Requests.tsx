import { moment, quantities, stageName, usd, wait } from './format';
import type { Turn } from './types';

/** Every request that was made for a turn, heard or not: what was paid for. */
export function Requests({ turn }: { turn: Turn }) {
  const wasted = turn.requests.filter((request) => !request.used).length;
  return (
    <details className="requests">
      <summary className="soft">
        {turn.requests.length} {turn.requests.length === 1 ? 'request' : 'requests'}
        {wasted > 0 && `, ${wasted} for nothing that was heard`}
      </summary>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">At</th>
              <th scope="col">For</th>
              <th scope="col">Model</th>
              <th scope="col" className="number">
                Took
              </th>
              <th scope="col">Used</th>
              <th scope="col" className="number">
                Cost
              </th>
            </tr>
          </thead>
          <tbody>
            {turn.requests.map((request) => (
              <tr key={`${request.stage}${request.began_at_ms}`} data-used={request.used}>
                <td>{moment(request.began_at_ms)}</td>
                <td>{stageName(request.stage)}</td>
                <td>
                  {request.model}
                  <span className="part-by soft">
                    {quantities(request.quantities)}
                    {request.estimated && ' (reckoned)'}
                  </span>
                </td>
                <td className="number">{wait(request.ended_at_ms - request.began_at_ms)}</td>
                <td>{request.used ? 'heard' : request.outcome === 'failed' ? 'failed' : 'not heard'}</td>
                <td className="number">{request.cost_usd === null ? '?' : usd(request.cost_usd)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
