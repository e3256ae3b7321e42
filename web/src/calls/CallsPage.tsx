import { useCallback, useEffect, useState } from 'react';
import { filtersOf, NO_FILTERS, queryOf, type Filters } from './api';
import { CallRows } from './CallRows';
import { FilterBar } from './FilterBar';
import { Notice } from './Notice';
import { Stats } from './Stats';
import { useCalls } from './useCalls';

export function CallsPage() {
  const [filters, setFilters] = useState<Filters>(() => filtersOf(window.location.search));
  const { calls, total, agents, reasons, days, next, loading, error, more, again } = useCalls(filters);
  const filtered = queryOf(filters) !== '';

  useEffect(() => {
    document.title = 'Calls · repartee';
    const back = () => {
      setFilters(filtersOf(window.location.search));
    };
    window.addEventListener('popstate', back);
    return () => {
      window.removeEventListener('popstate', back);
    };
  }, []);

  // What is chosen is in the address, so it can be sent to somebody and survives a reload.
  const choose = useCallback((chosen: Filters) => {
    window.history.replaceState(null, '', `/calls${queryOf(chosen)}`);
    setFilters(chosen);
  }, []);

  return (
    <>
      <div className="page-title">
        <h1>Calls</h1>
        {!loading && !error && (
          <p className="soft" role="status" data-testid="total">
            {total.toLocaleString()} {total === 1 ? 'call' : 'calls'}
            {filtered ? ' found' : ''}
          </p>
        )}
      </div>
      <FilterBar filters={filters} agents={agents} reasons={reasons} onChange={choose} />
      {error !== null && <Notice title="The calls cannot be shown" detail={error} onRetry={again} />}
      {error === null && days.length > 0 && <Stats days={days} />}
      {error === null && !loading && calls.length === 0 && (
        <Notice
          title={filtered ? 'No call is like that' : 'No calls yet'}
          detail={
            filtered
              ? 'Take a filter away, or look for fewer words: all of them must be said in one turn.'
              : 'Talk to the agent once; the call appears here while it goes on.'
          }
          {...(filtered
            ? {
                onRetry: () => {
                  choose(NO_FILTERS);
                },
                retry: 'Show all calls',
              }
            : {})}
        />
      )}
      {error === null && calls.length > 0 && <CallRows calls={calls} />}
      {next !== null && error === null && (
        <p className="more">
          <button className="quiet" type="button" onClick={more} data-testid="more">
            Show older calls
          </button>
        </p>
      )}
    </>
  );
}
