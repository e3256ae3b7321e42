import { useEffect, useState } from 'react';

/** Milliseconds since a moment, renewed every second. */
export function useElapsed(sinceMs: number): number {
  const [nowMs, setNowMs] = useState(sinceMs);
  useEffect(() => {
    const timer = setInterval(() => {
      setNowMs(Date.now());
    }, 1000);
    return () => {
      clearInterval(timer);
    };
  }, [sinceMs]);
  return Math.max(0, nowMs - sinceMs);
}
