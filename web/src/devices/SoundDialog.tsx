import { supportsAudioOutputSelection, type LocalAudioTrack } from 'livekit-client';
import { useEffect, useId, useRef } from 'react';
import type { Problem } from '../call/problems';
import { deviceName, shownDevice, type AudioKind } from './devices';
import { Meter } from './Meter';
import type { Devices } from './useDevices';

interface Props {
  devices: Devices;
  track: LocalAudioTrack | undefined;
  problem: Problem | undefined;
  heard: boolean;
  onHeard: () => void;
  onChoose: (kind: AudioKind, id: string) => void;
  onClose: () => void;
}

/** Which microphone, which speaker, and whether the microphone gives any sound. */
export function SoundDialog({ devices, track, problem, heard, onHeard, onChoose, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const title = useId();

  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);

  return (
    <dialog className="dialog" ref={dialog} aria-labelledby={title} onClose={onClose} data-testid="sound">
      <h2 id={title}>Sound</h2>
      <DeviceSelect kind="audioinput" label="Microphone" devices={devices} onChoose={onChoose} />
      {problem === undefined ? (
        <div className="hearing">
          <Meter track={track} label="Microphone level" onHeard={onHeard} />
          <p className="hint" role="status" data-testid="heard" data-heard={heard}>
            {heard ? 'Your microphone works.' : 'Say something: the bar should move.'}
          </p>
        </div>
      ) : (
        <p className="notice notice-bad" role="alert" data-code={problem.code}>
          <strong>{problem.title}.</strong> {problem.detail}
        </p>
      )}
      {supportsAudioOutputSelection() && devices.speakers.length > 0 && (
        <DeviceSelect kind="audiooutput" label="Speaker" devices={devices} onChoose={onChoose} />
      )}
      <form method="dialog" className="actions actions-end">
        <button className="primary" data-testid="sound-done">
          Done
        </button>
      </form>
    </dialog>
  );
}

interface SelectProps {
  kind: AudioKind;
  label: string;
  devices: Devices;
  onChoose: Props['onChoose'];
}

function DeviceSelect({ kind, label, devices, onChoose }: SelectProps) {
  const list = kind === 'audioinput' ? devices.microphones : devices.speakers;
  const hasDefault = list.some(({ deviceId }) => deviceId === 'default');
  return (
    <label className="field">
      <span>{label}</span>
      <select
        data-testid={kind}
        value={shownDevice(devices.chosen[kind], list)}
        onChange={(event) => { onChoose(kind, event.target.value); }}
      >
        {!hasDefault && <option value="default">System default</option>}
        {list.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {deviceName(device, index, kind)}
          </option>
        ))}
      </select>
    </label>
  );
}
