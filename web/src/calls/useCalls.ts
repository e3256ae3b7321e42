import { useCallback, useEffect, useRef, useState } from 'react';
import { fetchCalls, fetchStats, type Filters } from './api';
import type { CallHead, CallList, DayStats } from './types';

const LIVE_EVERY_MS = 5_000;
const EVERY_MS = 30_000;

export interface Calls {
  calls: readonly CallHead[];
  total: number;
  agents: readonly string[];
  reasons: readonly string[];
  days: readonly DayStats[];
  next: string | null;
  loading: boolean;
  error: string | null;
}

const NOTHING: Calls = {
  calls: [],
  total: 0,
  agents: [],
  reasons: [],
  days: [],
  next: null,
  loading: true,
  error: null,
};

/** The list for some filters: loaded, extended by pages, and kept fresh while somebody looks at its beginning. */
export function useCalls(filters: Filters): Calls & { more: () => void; again: () => void } {
  const [shown, setShown] = useState<Calls>(NOTHING);
  const [asked, setAsked] = useState(0);
  const pages = useRef(1);

  useEffect(() => {
    let current = true;
    pages.current = 1;
    const load = async () => {
      try {
        const [list, stats] = await Promise.all([fetchCalls(filters), fetchStats(filters)]);
        if (current && pages.current === 1) setShown((before) => ({ ...firstPage(before, list), days: stats.days }));
      } catch (error) {
        if (current) setShown((before) => ({ ...before, loading: false, error: said(error) }));
      }
    };
    void load();
    const timer = window.setInterval(() => {
      if (document.visibilityState === 'visible' && pages.current === 1) void load();
    }, anyLive(shown) ? LIVE_EVERY_MS : EVERY_MS);
    return () => {
      current = false;
      window.clearInterval(timer);
    };
    // Whether one is live changes how often it is asked for, and nothing else.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [filters, asked, anyLive(shown)]);

  const more = useCallback(() => {
    const { next } = shown;
    if (next === null) return;
    pages.current += 1;
    void fetchCalls(filters, next).then(
      (list) => {
        setShown((before) =>
          before.next === next ? { ...before, calls: [...before.calls, ...list.calls], next: list.next } : before,
        );
      },
      (error: unknown) => {
        setShown((before) => ({ ...before, error: said(error) }));
      },
    );
  }, [filters, shown]);

  const again = useCallback(() => {
    setShown((before) => ({ ...before, loading: true, error: null }));
    setAsked((count) => count + 1);
  }, []);

  return { ...shown, more, again };
}

function firstPage(before: Calls, list: CallList): Calls {
  return {
    ...before,
    calls: list.calls,
    next: list.next,
    total: list.total ?? list.calls.length,
    agents: list.agents ?? before.agents,
    reasons: list.reasons ?? before.reasons,
    loading: false,
    error: null,
  };
}

function anyLive(shown: Calls): boolean {
  return shown.calls.some((call) => call.state === 'live');
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
