import { useState } from 'react';
import { byAgent } from './days';
import { DayChart } from './DayChart';
import { usd, wait } from './format';
import type { DayStats } from './types';

const AGENTS_SHOWN = 1;

/** How quick, how many and how dear, by day and agent. */
export function Stats({ days }: { days: readonly DayStats[] }) {
  const [all, setAll] = useState(false);
  const range = byAgent(days);
  const shown = all ? range.agents : range.agents.slice(0, AGENTS_SHOWN);
  const hidden = range.agents.length - shown.length;
  return (
    <section className="stats" aria-label="By day">
      {shown.map(({ agent, days: own }) => (
        <div className="stats-agent" key={agent} data-testid="stats">
          <h2>{agent || 'Unknown'}</h2>
          <DayChart
            title="Time to answer"
            days={range.days}
            say={wait}
            series={[
              { name: 'median', kind: 'line', values: own.map((day) => day?.p50_ms ?? null) },
              { name: '95 %', kind: 'line', values: own.map((day) => day?.p95_ms ?? null) },
              { name: '99 %', kind: 'line', values: own.map((day) => day?.p99_ms ?? null) },
            ]}
          />
          <DayChart
            title="Calls"
            days={range.days}
            say={(value) => (value === null ? '–' : value.toLocaleString())}
            series={[{ name: 'calls', kind: 'bar', values: own.map((day) => day?.calls ?? null) }]}
          />
          <DayChart
            title="Cost"
            days={range.days}
            say={(value) => (value === null ? '–' : usd(value))}
            series={[
              { name: 'all', kind: 'bar', values: own.map((day) => (day ? Number(day.cost_usd) : null)) },
              { name: 'unheard', kind: 'bar', values: own.map((day) => (day ? Number(day.wasted_usd) : null)) },
            ]}
          />
        </div>
      ))}
      {hidden > 0 && (
        <button
          className="quiet"
          type="button"
          onClick={() => {
            setAll(true);
          }}
        >
          Show {hidden} more {hidden === 1 ? 'agent' : 'agents'}
        </button>
      )}
    </section>
  );
}
