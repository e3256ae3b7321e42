/**
 * Captions of both sides from transcription streams. Pure: streams in, list out.
 *
 * Two habits arrive on the same topic. The agent writes one stream per segment, a few words at a time. The
 * caller's speech comes as a new stream per update, each with the full text so far. Both are the same rule:
 * text adds up within a stream, and a newer stream of a segment replaces the older one.
 */
export type Side = 'agent' | 'caller';

export interface Caption {
  id: string;
  side: Side;
  text: string;
  /** No more changes; until then it is shown dimmed. */
  final: boolean;
  typed: boolean;
  /** Typed, and not known to have arrived. */
  pending: boolean;
  /** Written but never spoken, because the caller cut in. */
  unheard: string;
}

export interface Captions {
  list: readonly Caption[];
  /** Newest stream seen per segment, with whether its text has started to replace the older stream's. */
  streams: Readonly<Record<string, number>>;
}

/** `stream` rises with every stream that opens, so an older stream's late words can be told apart. */
export type CaptionEvent =
  | { type: 'text'; side: Side; segment: string; stream: number; text: string; final: boolean }
  | { type: 'closed'; side: Side; segment: string; stream: number; final: boolean; unheard: string }
  | { type: 'typed'; id: string; text: string }
  | { type: 'taken'; id: string }
  | { type: 'cleared' };

export const NO_CAPTIONS: Captions = { list: [], streams: {} };
const CAPTIONS_MAX = 500;

export function nextCaptions(captions: Captions, event: CaptionEvent): Captions {
  switch (event.type) {
    case 'cleared':
      return NO_CAPTIONS;
    case 'typed':
      return {
        ...captions,
        list: appended(captions.list, {
          id: event.id,
          side: 'caller',
          text: event.text,
          final: true,
          typed: true,
          pending: true,
          unheard: '',
        }),
      };
    case 'taken':
      return {
        ...captions,
        list: captions.list.map((old) => (old.id === event.id ? { ...old, pending: false } : old)),
      };
    case 'text':
      return withText(captions, event);
    case 'closed':
      return withClose(captions, event);
  }
}

function withText(captions: Captions, event: Extract<CaptionEvent, { type: 'text' }>): Captions {
  const id = captionId(event);
  const newest = captions.streams[id];
  if (newest !== undefined && event.stream < newest) return captions;
  const streams = newest === event.stream ? captions.streams : { ...captions.streams, [id]: event.stream };
  const old = captions.list.find((caption) => caption.id === id);
  if (!old) {
    const caption: Caption = {
      id,
      side: event.side,
      text: event.text,
      final: event.final,
      typed: false,
      pending: false,
      unheard: '',
    };
    return { streams, list: appended(captions.list, caption) };
  }
  const sameStream = newest === event.stream;
  // A late interim must not take back what was already settled; a second final may correct it. The agent tells a
  // reply anew to a caller whose connection was broken.
  if (old.final && !sameStream && !event.final && event.side === 'caller') return captions;
  const text = sameStream ? old.text + event.text : event.text;
  return { streams, list: replaced(captions.list, { ...old, text, final: event.final || (sameStream && old.final) }) };
}

function withClose(captions: Captions, event: Extract<CaptionEvent, { type: 'closed' }>): Captions {
  const id = captionId(event);
  const old = captions.list.find((caption) => caption.id === id);
  const newest = captions.streams[id];
  if (newest !== undefined && event.stream < newest) return captions;
  if (!old) return captions;
  // A final stream that never carried text takes the caption away: it was noise, not words.
  const emptied = event.final && newest !== event.stream;
  if (emptied || (event.final && !old.text.trim() && !event.unheard)) {
    return { ...captions, list: captions.list.filter((caption) => caption.id !== id) };
  }
  // The agent speaks a segment in one stream, so its end settles the text whatever the flag says.
  const final = event.final || event.side === 'agent' || old.final;
  return { ...captions, list: replaced(captions.list, { ...old, final, unheard: event.unheard || old.unheard }) };
}

function captionId(event: { side: Side; segment: string }): string {
  return `${event.side}:${event.segment}`;
}

function replaced(list: readonly Caption[], caption: Caption): readonly Caption[] {
  return list.map((old) => (old.id === caption.id ? caption : old));
}

/** A side that starts something new is done with what it said before. */
function appended(list: readonly Caption[], caption: Caption): readonly Caption[] {
  const settled = list.map((old) => (old.side === caption.side && !old.final ? { ...old, final: true } : old));
  return [...settled, caption].slice(-CAPTIONS_MAX);
}
