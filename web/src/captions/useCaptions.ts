import type { Room, TextStreamReader } from 'livekit-client';
import { useCallback, useReducer, useRef } from 'react';
import { NO_CAPTIONS, nextCaptions, type Caption, type CaptionEvent, type Side } from './captions';

const TRANSCRIPTION_TOPIC = 'lk.transcription';
const CHAT_TOPIC = 'lk.chat';
const FINAL = 'lk.transcription_final';
const SEGMENT = 'lk.segment_id';
const UNHEARD = 'repartee.unheard_text';

export interface CaptionFeed {
  captions: readonly Caption[];
  /** Listens on a room; call it before the room connects, or the greeting's first words are lost. */
  listen: (room: Room) => void;
  /** Sends typed words to the agent and shows them at once. */
  say: (room: Room, text: string) => Promise<void>;
}

export function useCaptions(): CaptionFeed {
  const [captions, dispatch] = useReducer(nextCaptions, NO_CAPTIONS);
  const opened = useRef(0);

  const listen = useCallback((room: Room) => {
    dispatch({ type: 'cleared' });
    room.registerTextStreamHandler(TRANSCRIPTION_TOPIC, (reader, { identity }) => {
      const side: Side = identity === room.localParticipant.identity ? 'caller' : 'agent';
      void follow(reader, side, ++opened.current, dispatch);
    });
  }, []);

  const say = useCallback(async (room: Room, text: string) => {
    const { id } = await room.localParticipant.sendText(text, { topic: CHAT_TOPIC });
    dispatch({ type: 'typed', id, text });
  }, []);

  return { captions: captions.list, listen, say };
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
