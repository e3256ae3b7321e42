import { ConnectionState, RoomEvent, type Room, type TextStreamReader } from 'livekit-client';
import { useCallback, useReducer, useRef } from 'react';
import { NO_CAPTIONS, nextCaptions, type Caption, type CaptionEvent, type Side } from './captions';
import { Outbox } from './outbox';

const TRANSCRIPTION_TOPIC = 'lk.transcription';
const CHAT_TOPIC = 'lk.chat';
const FINAL = 'lk.transcription_final';
const SEGMENT = 'lk.segment_id';
const UNHEARD = 'repartee.unheard_text';
/** With what is typed, its id; among the agent's attributes, the ids of what it has taken last. */
const MESSAGE = 'repartee.message';
const TAKEN = 'repartee.taken';
const LINE_EVENTS = [
  RoomEvent.ConnectionStateChanged,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantAttributesChanged,
] as const;

export interface CaptionFeed {
  captions: readonly Caption[];
  /** Listens on a room; call it before the room connects, or the greeting's first words are lost. */
  listen: (room: Room) => void;
  /** Shows typed words at once and sends them as soon as there is a line; false when too many wait for one. */
  say: (text: string) => boolean;
}

export function useCaptions(): CaptionFeed {
  const [captions, dispatch] = useReducer(nextCaptions, NO_CAPTIONS);
  const opened = useRef(0);
  const outbox = useRef<Outbox | null>(null);

  const listen = useCallback((room: Room) => {
    dispatch({ type: 'cleared' });
    room.registerTextStreamHandler(TRANSCRIPTION_TOPIC, (reader, { identity }) => {
      const side: Side = identity === room.localParticipant.identity ? 'caller' : 'agent';
      void follow(reader, side, ++opened.current, dispatch);
    });
    outbox.current?.close();
    outbox.current = outboxOf(room, (id) => { dispatch({ type: 'taken', id }); });
  }, []);

  const say = useCallback((text: string) => {
    const id = crypto.getRandomValues(new Uint32Array(2)).join('');
    if (!outbox.current?.add({ id, text })) return false;
    dispatch({ type: 'typed', id, text });
    return true;
  }, []);

  return { captions: captions.list, listen, say };
}

function outboxOf(room: Room, onTaken: (id: string) => void): Outbox {
  const outbox = new Outbox(
    ({ id, text }) => room.localParticipant.sendText(text, { topic: CHAT_TOPIC, attributes: { [MESSAGE]: id }, compress: false }),
    onTaken,
  );
  const look = () => {
    const agent = [...room.remoteParticipants.values()].find(({ isAgent }) => isAgent);
    const there = agent && room.state === ConnectionState.Connected;
    // Who connects anew has another id, and so has an agent that takes the call over.
    const line = there ? `${room.localParticipant.sid} ${agent.sid}` : null;
    outbox.stands(line, agent?.attributes[TAKEN]?.split(' ') ?? []);
  };
  for (const event of LINE_EVENTS) room.on(event, look);
  return outbox;
}

async function follow(
  reader: TextStreamReader,
  side: Side,
  stream: number,
  dispatch: (event: CaptionEvent) => void,
): Promise<void> {
  const segment = reader.info.attributes?.[SEGMENT] ?? reader.info.id;
  const key = { side, segment, stream };
  try {
    for await (const text of reader) {
      if (text) dispatch({ type: 'text', ...key, text, final: reader.info.attributes?.[FINAL] === 'true' });
    }
  } catch {
    // The speaker vanished in mid-sentence; what arrived stays on screen.
  }
  // Attributes of the closing packet are merged into the stream's own.
  const { [FINAL]: final, [UNHEARD]: unheard = '' } = reader.info.attributes ?? {};
  dispatch({ type: 'closed', ...key, final: final === 'true', unheard });
}
