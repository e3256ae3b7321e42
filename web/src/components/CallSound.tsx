import { useLocalParticipant, useRoomContext } from '@livekit/components-react';
import type { LocalAudioTrack } from 'livekit-client';
import { useCallback, useState } from 'react';
import { problem, type Problem } from '../call/problems';
import type { AudioKind } from '../devices/devices';
import { SoundDialog } from '../devices/SoundDialog';
import { useDevices } from '../devices/useDevices';
import { SoundIcon } from './icons';

/** Devices in a call: what is chosen is used at once. */
export function CallSound() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        className="round round-small"
        type="button"
        data-testid="devices"
        aria-label="Microphone and speaker"
        aria-haspopup="dialog"
        onClick={() => { setOpen(true); }}
      >
        <SoundIcon />
      </button>
      {open && <OpenCallSound onClose={() => { setOpen(false); }} />}
    </>
  );
}

function OpenCallSound({ onClose }: { onClose: () => void }) {
  const room = useRoomContext();
  const devices = useDevices();
  const { microphoneTrack } = useLocalParticipant();
  const [heard, setHeard] = useState(false);
  const [failed, setFailed] = useState<Problem>();
  const { choose } = devices;

  const onChoose = (kind: AudioKind, id: string) => {
    setHeard(false);
    room.switchActiveDevice(kind, id).then(
      () => {
        setFailed(undefined);
        choose(kind, id);
      },
      () => { setFailed(problem('mic_busy', { detail: 'That device could not be used. The one before goes on.' })); },
    );
  };
  const onHeard = useCallback(() => { setHeard(true); }, []);
  return (
    <SoundDialog
      devices={devices}
      track={microphoneTrack?.track as LocalAudioTrack | undefined}
      problem={failed}
      heard={heard}
      onHeard={onHeard}
      onChoose={onChoose}
      onClose={onClose}
    />
  );
}
