import type { RemoteAudioTrack } from 'livekit-client';
import { useEffect, useState } from 'react';
import { stalls, watched, type PacketWatch } from '../call/stall';

const LOOK_MS = 500;

/** Whether nothing comes of a track any more. */
export function useStalled(track: RemoteAudioTrack | undefined): boolean {
  const [stalled, setStalled] = useState(false);
  useEffect(() => {
    if (!track) return undefined;
    let watch: PacketWatch | undefined;
    let current = true;
    // The browser tells nobody; it can only be asked.
    const timer = setInterval(() => {
      track.getReceiverStats().then(
        (stats) => {
          if (!current || stats?.bytesReceived === undefined) return;
          const now = performance.now();
          watch = watched(watch, stats.bytesReceived, now);
          setStalled(stalls(watch, now));
        },
        () => undefined, // the track has gone meanwhile
      );
    }, LOOK_MS);
    return () => {
      current = false;
      clearInterval(timer);
      setStalled(false);
    };
  }, [track]);
  return stalled;
}
