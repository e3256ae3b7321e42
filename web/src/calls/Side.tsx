import { cost, moment, OWNER_NAMES, percent, quantities, share, stageName, trouble, usd, wait } from './format';
import type { CallPageData, Owner } from './types';

/** What concerns the whole call: where the time went, what it cost, who had the call, goals, tools, trouble. */
export function Side({ data }: { data: CallPageData }) {
  return (
    <aside className="side" aria-label="The whole call">
      {data.latency.answers > 0 && <Owners data={data} />}
      <Bill data={data} />
      {data.hand_overs.length > 0 && <HandOvers data={data} />}
      {data.goals.length > 0 && <Goals data={data} />}
      {data.tools.length > 0 && <Tools data={data} />}
      <TheLine data={data} />
      {data.errors.length > 0 && <Troubles data={data} />}
    </aside>
  );
}

function Owners({ data }: { data: CallPageData }) {
  const owners = Object.entries(data.latency.by_owner) as [Owner, number][];
  const sum = owners.reduce((total, [, ms]) => total + ms, 0);
  return (
    <section className="panel" data-testid="owners">
      <h2>Where the time went</h2>
      <span className="owner-bar" aria-hidden="true">
        {owners.map(([owner, ms]) => (
          <i key={owner} data-owner={owner} style={{ flexGrow: ms }} />
        ))}
      </span>
      <dl className="owners">
        {owners.map(([owner, ms]) => (
          <div key={owner}>
            <dt>
              <i data-owner={owner} />
              {OWNER_NAMES[owner]}
            </dt>
            <dd>
              {wait(ms / data.latency.answers)} <span className="soft">{share(String(ms), String(sum))}</span>
            </dd>
          </div>
        ))}
      </dl>
      <p className="soft small">Mean of {data.latency.answers} answers, from the last sound heard to the first sent.</p>
    </section>
  );
}

function Bill({ data }: { data: CallPageData }) {
  const { bill } = data;
  return (
    <section className="panel" data-testid="bill">
      <h2>What it cost</h2>
      {bill.stages.length === 0 ? (
        <p className="soft">Nothing was paid for.</p>
      ) : (
        <table>
          <thead className="visually-hidden">
            <tr>
              <th scope="col">For</th>
              <th scope="col">Cost, and of it unheard</th>
            </tr>
          </thead>
          <tbody>
            {bill.stages.map((stage) => (
              <tr key={stage.stage + stage.model}>
                <th scope="row">
                  {stageName(stage.stage)}
                  <span className="part-by soft">{stage.model}</span>
                  <span className="part-by soft">{quantities(stage.quantities)}</span>
                </th>
                <td className="number">
                  {cost(stage)}
                  <span className="part-by soft">
                    {Number(stage.wasted_usd) > 0 && `${usd(stage.wasted_usd)} unheard`}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">Together</th>
              <td className="number">
                {cost(bill)}
                <span className="part-by soft">{share(bill.wasted_usd, bill.cost_usd)} unheard</span>
              </td>
            </tr>
          </tfoot>
        </table>
      )}
    </section>
  );
}

function HandOvers({ data }: { data: CallPageData }) {
  return (
    <section className="panel" data-testid="hand-overs">
      <h2>Passed on</h2>
      <ol className="steps">
        {data.hand_overs.map((one) => (
          <li key={one.number}>
            <time className="soft">{moment(one.at_ms)}</time>
            <span>
              {one.giver} → {one.to}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Goals({ data }: { data: CallPageData }) {
  return (
    <section className="panel" data-testid="goals">
      <h2>Goals</h2>
      <ol className="steps">
        {data.goals.map((goal) => (
          <li key={`${goal.goal_id}${goal.at_ms}`}>
            <time className="soft">{moment(goal.at_ms)}</time>
            <span>
              {goal.intent} <span className="tag" data-status={goal.status}>{goal.status}</span>
              {goal.missing > 0 && <span className="soft"> {goal.missing} still to learn</span>}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Tools({ data }: { data: CallPageData }) {
  return (
    <section className="panel" data-testid="tools">
      <h2>Tools</h2>
      <ol className="steps">
        {data.tools.map((tool) => (
          <li key={tool.at_ms}>
            <time className="soft">{moment(tool.at_ms)}</time>
            <details>
              <summary>
                <code>{tool.tool}</code> <span className="tag" data-status={tool.outcome}>{tool.outcome}</span>{' '}
                <span className="soft">{wait(tool.took_ms)}</span>
              </summary>
              <p className="small soft">Arguments</p>
              <pre>{pretty(tool.arguments)}</pre>
              <p className="small soft">{tool.outcome === 'done' ? 'Result' : 'What it said'}</p>
              <pre>{pretty(tool.result)}</pre>
            </details>
          </li>
        ))}
      </ol>
    </section>
  );
}

function pretty(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

function codecName(mime: string): string {
  const name = mime.replace('audio/', '');
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** How the caller's connection was. */
function TheLine({ data }: { data: CallPageData }) {
  const { codec, quality, away, lost, concealed, buffered_ms: buffered } = data.line;
  if (codec === null && quality.length === 0 && away.length === 0 && lost === null) return null;
  return (
    <section className="panel" data-testid="the-line">
      <h2>The line</h2>
      {(quality.length > 0 || away.length > 0) && (
        <ol className="steps">
          {[
            ...quality.map(([at, how]): [number, string] => [at, `Connection ${how}`]),
            ...away.flatMap(([from, to]): [number, string][] => [
              [from, 'Caller cut off'],
              ...(to === null ? [] : [[to, 'Caller back'] as [number, string]]),
            ]),
          ]
            .sort(([one], [other]) => one - other)
            .map(([at, what]) => (
              <li key={what + String(at)}>
                <time className="soft">{moment(at)}</time>
                <span>{what}</span>
              </li>
            ))}
        </ol>
      )}
      <p className="soft small">
        {codec !== null && `The caller’s sound came as ${codecName(codec)}. `}
        {lost !== null && `${percent(lost)} of its packets were lost, ${percent(concealed ?? 0)} of the sound had to be made up.`}
        {buffered !== null && ` Sound waited ${Math.round(buffered)} ms on average for packets that were late.`}
      </p>
    </section>
  );
}

function Troubles({ data }: { data: CallPageData }) {
  return (
    <section className="panel panel-trouble" data-testid="errors">
      <h2>Trouble</h2>
      <ol className="steps">
        {data.errors.map((error) => (
          <li key={error.kind + String(error.at_ms)}>
            <time className="soft">{moment(error.at_ms)}</time>
            <span>{trouble(error.kind, error.data)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
