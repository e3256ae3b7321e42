import {
  useConnectionQualityIndicator,
  useConnectionState,
  useLocalParticipant,
  useParticipantAttributes,
  useVoiceAssistant,
} from '@livekit/components-react';
import { ConnectionQuality, ConnectionState, type Participant } from 'livekit-client';

export type CallNotice = 'reconnecting' | 'unheard' | 'weak';

/** What is wrong with the line, the worst first; undefined while it is good. */
export function useCallNotice(): CallNotice | undefined {
  const connection = useConnectionState();
  const { localParticipant } = useLocalParticipant();
  const { quality } = useConnectionQualityIndicator({ participant: localParticipant });
  const agent = useVoiceAssistant().agent as Participant | undefined;
  const attributes = useParticipantAttributes({ participant: agent ?? localParticipant }).attributes;
  return noticeOf(connection, quality, attributes?.['repartee.microphone']);
}

/** Exported for its tests. */
export function noticeOf(
  connection: ConnectionState,
  quality: ConnectionQuality,
  microphone: string | undefined,
): CallNotice | undefined {
  if (connection !== ConnectionState.Connected) return 'reconnecting';
  if (microphone === 'silent' || microphone === 'unreadable') return 'unheard';
  if (quality === ConnectionQuality.Poor || quality === ConnectionQuality.Lost) return 'weak';
  return undefined;
}
