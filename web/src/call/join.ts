import { createLocalAudioTrack, Room, Track, type LocalAudioTrack } from 'livekit-client';
import { requestInvitation, type Invitation } from './api';
import type { StartStep } from './phase';
import { CallError, microphoneProblem, problem } from './problems';

export interface JoinOptions {
  withMicrophone: boolean;
  onStep: (step: StartStep) => void;
  signal: AbortSignal;
}

export function newRoom(): Room {
  return new Room({
    audioCaptureDefaults: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
}

/**
 * Microphone, token and room. Call it straight from the click: the browser only unlocks sound and the
 * microphone inside that gesture.
 */
export async function joinCall(room: Room, { withMicrophone, onStep, signal }: JoinOptions): Promise<void> {
  const playback = room.startAudio().catch(() => undefined); // refused: the call shows a "play sound" button
  let track: LocalAudioTrack | undefined;
  try {
    const [microphone, invitation] = await microphoneAndInvitation(withMicrophone, onStep);
    track = microphone;
    signal.throwIfAborted();
    onStep('joining');
    await connect(room, invitation);
    signal.throwIfAborted();
    if (track) await room.localParticipant.publishTrack(track, { source: Track.Source.Microphone });
    await playback;
  } catch (error) {
    track?.stop();
    await room.disconnect();
    throw error;
  }
}

/** An agent starts for each token, so ask only once the microphone is certain; both at once where it is. */
async function microphoneAndInvitation(
  withMicrophone: boolean,
  onStep: (step: StartStep) => void,
): Promise<[LocalAudioTrack | undefined, Invitation]> {
  if (!withMicrophone) {
    onStep('token');
    return [undefined, await requestInvitation()];
  }
  const opening = openMicrophone();
  if (await microphoneAllowed()) {
    onStep('token');
    const [opened, invited] = await Promise.allSettled([opening, requestInvitation()]);
    if (opened.status === 'rejected') throw asError(opened.reason);
    if (invited.status === 'rejected') {
      opened.value.stop();
      throw asError(invited.reason);
    }
    return [opened.value, invited.value];
  }
  const track = await opening;
  onStep('token');
  try {
    return [track, await requestInvitation()];
  } catch (error) {
    track.stop();
    throw error;
  }
}

async function openMicrophone(): Promise<LocalAudioTrack> {
  if (!window.isSecureContext) throw new CallError(problem('insecure_page'));
  try {
    return await createLocalAudioTrack({ echoCancellation: true, noiseSuppression: true, autoGainControl: true });
  } catch (error) {
    throw new CallError(microphoneProblem(error), { cause: error });
  }
}

async function microphoneAllowed(): Promise<boolean> {
  try {
    const status = await navigator.permissions.query({ name: 'microphone' });
    return status.state === 'granted';
  } catch {
    return false; // not every browser can be asked about the microphone
  }
}

async function connect(room: Room, invitation: Invitation): Promise<void> {
  try {
    await room.connect(invitation.serverUrl, invitation.token);
  } catch (error) {
    throw new CallError(problem('media_unreachable'), { cause: error });
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
