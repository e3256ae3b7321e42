import { useEffect } from 'react';

/** Keeps the screen on while it is mounted: a phone that locks itself closes the microphone. */
export function useWakeLock(): void {
  useEffect(() => {
    // Not in every browser, whatever the types say.
    const wakeLock = (navigator as { wakeLock?: WakeLock }).wakeLock;
    if (!wakeLock) return undefined;
    let current = true;
    let held: WakeLockSentinel | undefined;
    const hold = () => {
      if (document.visibilityState !== 'visible') return;
      wakeLock.request('screen').then(
        (lock) => {
          if (current) held = lock;
          else void lock.release();
        },
        () => undefined, // the battery is low, or the frame may not: the call goes on all the same
      );
    };
    hold();
    // The browser takes it back whenever the page is hidden.
    document.addEventListener('visibilitychange', hold);
    return () => {
      current = false;
      document.removeEventListener('visibilitychange', hold);
      void held?.release();
    };
  }, []);
}
