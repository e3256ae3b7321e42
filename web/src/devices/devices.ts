/** Which microphone and speaker somebody chose. Pure but for the browser's store, which may be closed to the page. */
import type { AudioCaptureOptions } from 'livekit-client';

export type AudioKind = 'audioinput' | 'audiooutput';
/** By device id; a kind that is not there is the system's default. */
export type ChosenDevices = Partial<Record<AudioKind, string>>;

const KEY = 'repartee.devices';
const ID_MAX = 256;

export function readChosen(store: Pick<Storage, 'getItem'> | undefined = storage()): ChosenDevices {
  try {
    const read: unknown = JSON.parse(store?.getItem(KEY) ?? '{}');
    if (typeof read !== 'object' || read === null) return {};
    const { audioinput, audiooutput } = read as Record<string, unknown>;
    return { ...known('audioinput', audioinput), ...known('audiooutput', audiooutput) };
  } catch {
    return {};
  }
}

export function writeChosen(chosen: ChosenDevices, store: Pick<Storage, 'setItem'> | undefined = storage()): void {
  try {
    store?.setItem(KEY, JSON.stringify(chosen));
  } catch {
    // Full, or forbidden: it is asked again next time.
  }
}

function known(kind: AudioKind, id: unknown): ChosenDevices {
  return typeof id === 'string' && id !== '' && id !== 'default' && id.length <= ID_MAX ? { [kind]: id } : {};
}

/** Not exact: a device that was unplugged since is no reason for having no call. */
export function captureOptions({ audioinput }: ChosenDevices): AudioCaptureOptions {
  const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  return audioinput ? { ...wanted, deviceId: { ideal: audioinput } } : wanted;
}

/** What to show as chosen: a device that is not there any more is the default again. */
export function shownDevice(chosen: string | undefined, devices: readonly { deviceId: string }[]): string {
  return chosen !== undefined && devices.some(({ deviceId }) => deviceId === chosen) ? chosen : 'default';
}

/** Without permission a browser lists devices that have no names. */
export function deviceName(device: { label: string }, index: number, kind: AudioKind): string {
  return device.label || `${kind === 'audioinput' ? 'Microphone' : 'Speaker'} ${index + 1}`;
}

function storage(): Storage | undefined {
  try {
    return window.localStorage;
  } catch {
    return undefined; // a browser that gives a framed page no store throws
  }
}
