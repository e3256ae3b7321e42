import { useRemoteParticipants } from '@livekit/components-react';
import { RoomEvent } from 'livekit-client';
import { useEffect } from 'react';

const ATTRIBUTE = 'repartee.call';
const CHANGES = [RoomEvent.ParticipantConnected, RoomEvent.ParticipantAttributesChanged];

/** Tells by which name the server keeps this call, once the agent has said it. */
export function useCallId(onId: (id: string) => void): void {
  const participants = useRemoteParticipants({ updateOnlyOn: CHANGES });
  const id = participants.find(({ isAgent }) => isAgent)?.attributes[ATTRIBUTE];
  useEffect(() => {
    if (id) onId(id);
  }, [id, onId]);
}
