import { useCallback, useEffect, useState } from 'react';
import { readChosen, writeChosen, type AudioKind, type ChosenDevices } from './devices';

export interface Devices {
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
  chosen: ChosenDevices;
  choose: (kind: AudioKind, id: string) => void;
  /** Lists them again: they have names once a microphone was allowed. */
  refresh: () => void;
}

/** The machine's microphones and speakers, as they come and go. */
export function useDevices(): Devices {
  const [all, setAll] = useState<MediaDeviceInfo[]>([]);
  const [chosen, setChosen] = useState(() => readChosen());

  const refresh = useCallback(() => {
    // Undefined on a page that is not secure.
    const media = navigator.mediaDevices as MediaDevices | undefined;
    media?.enumerateDevices().then(setAll, () => { setAll([]); });
  }, []);

  useEffect(() => {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    refresh();
    media?.addEventListener('devicechange', refresh);
    return () => { media?.removeEventListener('devicechange', refresh); };
  }, [refresh]);

  const choose = useCallback((kind: AudioKind, id: string) => {
    setChosen((before) => {
      const after = { ...before, [kind]: id };
      writeChosen(after);
      return after;
    });
  }, []);

  const of = (kind: AudioKind) => all.filter((device) => device.kind === kind && device.deviceId !== '');
  return { microphones: of('audioinput'), speakers: of('audiooutput'), chosen, choose, refresh };
}
