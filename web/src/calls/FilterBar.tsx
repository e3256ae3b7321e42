import { useEffect, useState } from 'react';
import { NO_FILTERS, queryOf, type Filters } from './api';
import { ending } from './format';

const TYPED_MS = 300;

interface Props {
  filters: Filters;
  agents: readonly string[];
  reasons: readonly string[];
  onChange: (filters: Filters) => void;
}

export function FilterBar({ filters, agents, reasons, onChange }: Props) {
  const [words, setWords] = useState(filters.q);

  // Asked when the typing pauses, not for every letter.
  useEffect(() => {
    if (words === filters.q) return;
    const timer = window.setTimeout(() => {
      onChange({ ...filters, q: words });
    }, TYPED_MS);
    return () => {
      window.clearTimeout(timer);
    };
  }, [words, filters, onChange]);

  const set = (name: keyof Filters) => (event: { target: { value: string } }) => {
    onChange({ ...filters, [name]: event.target.value });
  };
  const clear = () => {
    setWords('');
    onChange(NO_FILTERS);
  };

  return (
    <search className="filters">
      <label className="filter filter-words">
        <span>Words that were said</span>
        <input
          type="search"
          data-testid="search"
          value={words}
          maxLength={200}
          placeholder="appointment tuesday"
          onChange={(event) => {
            setWords(event.target.value);
          }}
        />
      </label>
      <label className="filter">
        <span>Agent</span>
        <select value={filters.agent} onChange={set('agent')} data-testid="filter-agent">
          <option value="">All</option>
          {agents.map((agent) => (
            <option key={agent}>{agent}</option>
          ))}
        </select>
      </label>
      <label className="filter">
        <span>State</span>
        <select value={filters.state} onChange={set('state')} data-testid="filter-state">
          <option value="">All</option>
          <option value="live">Live</option>
          <option value="ended">Ended</option>
          <option value="lost">No end known</option>
        </select>
      </label>
      <label className="filter">
        <span>Ended because</span>
        <select value={filters.reason} onChange={set('reason')}>
          <option value="">All</option>
          {reasons.map((reason) => (
            <option key={reason} value={reason}>
              {ending('ended', reason)}
            </option>
          ))}
        </select>
      </label>
      <label className="filter">
        <span>From</span>
        <input type="date" value={filters.since} max={filters.until} onChange={set('since')} />
      </label>
      <label className="filter">
        <span>To</span>
        <input type="date" value={filters.until} min={filters.since} onChange={set('until')} />
      </label>
      {queryOf(filters) !== '' && (
        <button className="quiet filter-clear" type="button" onClick={clear}>
          Clear
        </button>
      )}
    </search>
  );
}
