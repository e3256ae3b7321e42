import { createLocalAudioTrack, Room, Track, type AudioCaptureOptions, type LocalAudioTrack } from 'livekit-client';
import { captureOptions, type ChosenDevices } from '../devices/devices';
import { requestInvitation, requestReturn, type Invitation } from './api';
import type { StartStep } from './phase';
import { CallError, mediaProblem, microphoneProblem, problem } from './problems';

export interface JoinOptions {
  withMicrophone: boolean;
  onStep: (step: StartStep) => void;
  /** The microphone is open; what is said from now on reaches the agent, also before it is there. */
  onMicrophone: (track: LocalAudioTrack) => void;
  signal: AbortSignal;
}

/** A room that uses the devices somebody chose. */
export function newRoom(chosen: ChosenDevices): Room {
  return new Room({
    audioCaptureDefaults: captureOptions(chosen),
    ...(chosen.audiooutput ? { audioOutput: { deviceId: chosen.audiooutput } } : {}),
  });
}

/**
 * Microphone, token and room. Call it straight from the click: the browser only unlocks sound and the
 * microphone inside that gesture.
 */
export async function joinCall(room: Room, options: JoinOptions): Promise<Invitation> {
  const { withMicrophone, onStep, signal } = options;
  bothWays();
  const playback = room.startAudio().catch(() => undefined); // refused: the call shows a "play sound" button
  let track: LocalAudioTrack | undefined;
  try {
    const [microphone, invitation] = await microphoneAndInvitation(room, options);
    track = microphone;
    signal.throwIfAborted();
    onStep('joining');
    // Published while the room connects: the server hears of it first, and the agent knows that words are to come.
    const publishing = withMicrophone && track ? publish(room, track) : undefined;
    publishing?.catch(() => undefined); // when connecting fails, that is the reason told
    await connect(room, invitation);
    signal.throwIfAborted();
    await publishing;
    await playback;
    return invitation;
  } catch (error) {
    track?.stop();
    await room.disconnect();
    throw error;
  }
}

async function publish(room: Room, track: LocalAudioTrack): Promise<void> {
  await room.localParticipant.publishTrack(track, { source: Track.Source.Microphone });
}

/** Safari decides by this where sound comes out while a microphone is open. */
function bothWays(): void {
  const session = (navigator as { audioSession?: { type: string } }).audioSession;
  if (session) session.type = 'play-and-record';
}

/** The agent waits so long for a caller whose connection broke. */
const RETURN_MS = 30_000;
const RETURN_WAITS_MS = [0, 500, 1_000, 2_000, 4_000];

/**
 * Comes back to a call when the media client has given up by itself. Throws `CallError` when the call is over, or
 * when there was no way back for as long as the agent waits.
 */
export async function returnToCall(
  room: Room,
  invitation: Invitation,
  { withMicrophone, signal }: { withMicrophone: boolean; signal: AbortSignal },
): Promise<Invitation> {
  const until = Date.now() + RETURN_MS;
  for (let attempt = 0; Date.now() < until; attempt += 1) {
    await pause(RETURN_WAITS_MS[Math.min(attempt, RETURN_WAITS_MS.length - 1)] ?? 0, signal);
    try {
      const again = await requestReturn(invitation.token);
      signal.throwIfAborted();
      await connect(room, again);
      if (withMicrophone) await room.localParticipant.setMicrophoneEnabled(true);
      return again;
    } catch (error) {
      if (error instanceof CallError && (error.problem.code === 'over' || error.problem.code === 'refused')) throw error;
      signal.throwIfAborted();
    }
  }
  throw new CallError(problem('connection_lost'));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        reject(asError(signal.reason));
      },
      { once: true },
    );
  });
}

/** An agent starts for each token, so ask only once the microphone is certain; both at once where it is. */
async function microphoneAndInvitation(
  room: Room,
  { withMicrophone, onStep, onMicrophone }: JoinOptions,
): Promise<[LocalAudioTrack | undefined, Invitation]> {
  if (!withMicrophone) {
    onStep('token');
    return [undefined, await requestInvitation()];
  }
  const opening = openMicrophone(room.options.audioCaptureDefaults).then((track) => {
    track.startPreConnectBuffer(); // ten seconds at most
    onMicrophone(track);
    return track;
  });
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

/** Opens a microphone. Throws `CallError` with what the person at it can do. */
export async function openMicrophone(options: AudioCaptureOptions = {}): Promise<LocalAudioTrack> {
  if (!window.isSecureContext) throw new CallError(problem('insecure_page'));
  try {
    return await createLocalAudioTrack(options);
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
    throw new CallError(mediaProblem(new URL(invitation.serverUrl).hostname), { cause: error });
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
