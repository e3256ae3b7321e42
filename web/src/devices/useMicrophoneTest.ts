import type { LocalAudioTrack } from 'livekit-client';
import { useCallback, useEffect, useState } from 'react';
import { openMicrophone } from '../call/join';
import { CallError, problem, type Problem } from '../call/problems';
import { captureOptions } from './devices';

export interface MicrophoneTest {
  track: LocalAudioTrack | undefined;
  problem: Problem | undefined;
  heard: boolean;
  onHeard: () => void;
}

/** Opens a microphone while `active`, and whichever is chosen; closes it again. */
export function useMicrophoneTest(active: boolean, deviceId: string | undefined, onOpen: () => void): MicrophoneTest {
  const [track, setTrack] = useState<LocalAudioTrack>();
  const [failed, setFailed] = useState<Problem>();
  const [heard, setHeard] = useState(false);

  useEffect(() => {
    if (!active) return undefined;
    let current = true;
    let opened: LocalAudioTrack | undefined;
    openMicrophone(captureOptions(deviceId === undefined ? {} : { audioinput: deviceId })).then(
      (microphone) => {
        if (!current) {
          microphone.stop();
          return;
        }
        opened = microphone;
        setTrack(microphone);
        onOpen();
      },
      (error: unknown) => {
        if (current) setFailed(error instanceof CallError ? error.problem : problem('unknown'));
      },
    );
    return () => {
      current = false;
      opened?.stop();
      setTrack(undefined);
      setFailed(undefined);
      setHeard(false);
    };
  }, [active, deviceId, onOpen]);

  const onHeard = useCallback(() => { setHeard(true); }, []);
  return { track, problem: failed, heard, onHeard };
}
