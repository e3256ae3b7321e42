import { useEffect, useState } from 'react';

/** The address of the page of a call, if whoever looks at this may see it. */
export function useCallPage(id: string | null): string | null {
  const [shown, setShown] = useState<string | null>(null);
  useEffect(() => {
    if (id === null) return;
    const stop = new AbortController();
    fetch(`/api/calls/${encodeURIComponent(id)}`, { signal: stop.signal, credentials: 'same-origin' }).then(
      ({ ok }) => {
        if (ok) setShown(id);
      },
      () => undefined, // no page, no link
    );
    return () => {
      stop.abort();
    };
  }, [id]);
  return shown !== null && shown === id ? `/calls/${shown}` : null;
}
