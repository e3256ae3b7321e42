import {
  useConnectionQualityIndicator,
  useConnectionState,
  useLocalParticipant,
  useParticipantAttributes,
  useVoiceAssistant,
} from '@livekit/components-react';
import { ConnectionQuality, ConnectionState, type Participant, type RemoteAudioTrack } from 'livekit-client';
import { useEffect, useState } from 'react';
import { useOnline } from './useOnline';
import { useStalled } from './useStalled';

export type CallNotice = 'offline' | 'returning' | 'reconnecting' | 'unheard' | 'weak' | 'back';

const BACK_MS = 3_000;

/** What is wrong with the line, the worst first; undefined while it is good. */
export function useCallNotice(): CallNotice | undefined {
  const connection = useConnectionState();
  const online = useOnline();
  const { localParticipant } = useLocalParticipant();
  const { quality } = useConnectionQualityIndicator({ participant: localParticipant });
  const assistant = useVoiceAssistant();
  const agent = assistant.agent as Participant | undefined;
  const stalled = useStalled(assistant.audioTrack?.publication.track as RemoteAudioTrack | undefined);
  const attributes = useParticipantAttributes({ participant: agent ?? localParticipant }).attributes;
  const notice = noticeOf(connection, quality, attributes?.['repartee.microphone'], { online, stalled });
  const back = useBack(isBroken(notice));
  return notice ?? (back ? 'back' : undefined);
}

/** Whether nothing is heard, on either side. */
export function isBroken(notice: CallNotice | undefined): boolean {
  return notice === 'offline' || notice === 'returning' || notice === 'reconnecting';
}

/** For a moment after the line was broken: true. */
function useBack(broken: boolean): boolean {
  const [back, setBack] = useState(false);
  useEffect(() => {
    if (!broken) return undefined;
    return () => { setBack(true); };
  }, [broken]);
  useEffect(() => {
    if (!back) return undefined;
    const timer = setTimeout(() => { setBack(false); }, BACK_MS);
    return () => { clearTimeout(timer); };
  }, [back]);
  return back;
}

/** Exported for its tests. */
export function noticeOf(
  connection: ConnectionState,
  quality: ConnectionQuality,
  microphone: string | undefined,
  { online, stalled }: { online: boolean; stalled: boolean },
): CallNotice | undefined {
  if (connection !== ConnectionState.Connected || stalled) {
    if (!online) return 'offline';
    // The media client has given up, and the page asks for its place again.
    return connection === ConnectionState.Disconnected ? 'returning' : 'reconnecting';
  }
  if (microphone === 'silent' || microphone === 'unreadable') return 'unheard';
  if (quality === ConnectionQuality.Poor || quality === ConnectionQuality.Lost) return 'weak';
  return undefined;
}
