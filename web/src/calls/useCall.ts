import { useCallback, useEffect, useState } from 'react';
import { ApiError, callUrl, fetchCall } from './api';
import type { CallPageData } from './types';

export interface Shown {
  data: CallPageData | null;
  error: ApiError | null;
  again: () => void;
}

/** A call as it is kept; while it goes on, as it grows. */
export function useCall(id: string): Shown {
  const [data, setData] = useState<CallPageData | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [asked, setAsked] = useState(0);

  useEffect(() => {
    let current = true;
    let events: EventSource | null = null;
    const follow = () => {
      events = new EventSource(`${callUrl(id)}/live`);
      events.addEventListener('call', (event: MessageEvent<string>) => {
        if (current) setData(JSON.parse(event.data) as CallPageData);
      });
      // The server says when it is over; a connection that breaks is opened anew by the browser.
      events.addEventListener('over', () => {
        events?.close();
        void load(); // the last of it, and on with it if only the connection was over
      });
    };
    const load = async () => {
      try {
        const loaded = await fetchCall(id);
        if (!current) return;
        setData(loaded);
        setError(null);
        if (loaded.call.state === 'live') follow();
      } catch (failure) {
        if (current) setError(failure instanceof ApiError ? failure : new ApiError(String(failure), 0));
      }
    };
    void load();
    return () => {
      current = false;
      events?.close();
    };
  }, [id, asked]);

  const again = useCallback(() => {
    setError(null);
    setAsked((count) => count + 1);
  }, []);
  return { data, error, again };
}
