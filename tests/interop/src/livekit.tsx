/** A page on LiveKit's own hooks, as its starters use them, and on its debug session, as its Playground does. */
import {
  RoomAudioRenderer,
  SessionProvider,
  useAgent,
  useChat,
  useSession,
  useSessionMessages,
  useTrackTranscription,
  useTranscriptions,
  useVoiceAssistant,
} from '@livekit/components-react';
import { AgentSession } from '@livekit/protocol';
import { TokenSource, type Room } from 'livekit-client';
import { useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { note, SERVER } from './report';

const SESSION_TOPIC = 'lk.agent.session';
/** As the starters do, with what is said before the agent is there, unless the test wants it without. */
const OPTIONS = new URLSearchParams(location.search).has('plain')
  ? { tracks: { microphone: { enabled: true, publishOptions: { preConnectBuffer: false } } } }
  : undefined;
const tokens = TokenSource.endpoint(`${SERVER}/api/token`);

function Page() {
  const session = useSession(tokens);
  const [started, setStarted] = useState(false);
  note('connection', session.connectionState);
  const start = () => {
    setStarted(true);
    session.start(OPTIONS).catch((error: unknown) => note('error', String(error)));
  };
  return (
    <SessionProvider session={session}>
      <button onClick={start}>start</button>
      <button onClick={() => void session.end()}>end</button>
      {started && <Call session={session} />}
      <RoomAudioRenderer />
    </SessionProvider>
  );
}

function Call({ session }: { session: ReturnType<typeof useSession> }) {
  const agent = useAgent(session);
  const assistant = useVoiceAssistant();
  const mine = useTrackTranscription(session.local.microphoneTrack);
  const agents = useTrackTranscription(agent.microphoneTrack);
  const streams = useTranscriptions();
  const { messages } = useSessionMessages(session);
  const { send } = useChat();

  note('useAgent.state', agent.state);
  note('useAgent.identity', agent.identity ?? null);
  note('useAgent.failures', agent.failureReasons);
  note('useAgent.attributes', agent.attributes);
  note('useAgent.subscribed', agent.microphoneTrack?.publication.isSubscribed ?? false);
  note('useVoiceAssistant.state', assistant.state);
  note('useVoiceAssistant.audio', assistant.audioTrack?.publication.source ?? null);
  note('useVoiceAssistant.transcriptions', texts(assistant.agentTranscriptions));
  note('useTrackTranscription.mine', texts(mine.segments));
  note('useTrackTranscription.agent', texts(agents.segments));
  note(
    'useTranscriptions',
    streams.map(({ text, participantInfo, streamInfo }) => ({
      text,
      mine: participantInfo.identity === session.room.localParticipant.identity,
      ...streamInfo.attributes,
    })),
  );
  note(
    'useSessionMessages',
    messages.map(({ type, message }) => ({ type, message })),
  );

  const [text, setText] = useState('');
  useSessionProtocol(session.room, agent.identity);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void send(text);
      }}
    >
      <input value={text} onChange={(event) => setText(event.target.value)} />
      <button>send</button>
    </form>
  );
}

function texts(segments: { text: string; final: boolean }[]) {
  return segments.map(({ text, final }) => ({ text, final }));
}

/** Asks the agent as the Playground does: bytes on a topic, one message per stream. */
function useSessionProtocol(room: Room, agent: string | undefined) {
  const ask = useMemo(
    () => async (request: AgentSession.SessionRequest['request'], id: string) => {
      const message = new AgentSession.AgentSessionMessage({
        message: { case: 'request', value: new AgentSession.SessionRequest({ requestId: id, request }) },
      });
      const writer = await room.localParticipant.streamBytes({
        topic: SESSION_TOPIC,
        destinationIdentities: agent === undefined ? [] : [agent],
      });
      await writer.write(message.toBinary());
      await writer.close();
    },
    [room, agent],
  );

  useEffect(() => {
    const events: unknown[] = [];
    room.registerByteStreamHandler(SESSION_TOPIC, async (reader) => {
      const chunks = await reader.readAll();
      const { message } = AgentSession.AgentSessionMessage.fromBinary(
        new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer()),
      );
      if (message.case === 'event') {
        events.push({ case: message.value.event.case, ...(message.value.toJson() as object) });
        note('session.events', [...events]);
      } else if (message.case === 'response') {
        note(`session.${message.value.requestId}`, message.value.toJson());
      }
    });
    return () => room.unregisterByteStreamHandler(SESSION_TOPIC);
  }, [room]);

  useEffect(() => {
    window.ask = ask;
    window.performRpc = (method, payload) =>
      room.localParticipant.performRpc({ destinationIdentity: agent ?? '', method, payload });
  }, [ask, room, agent]);
}

declare global {
  interface Window {
    ask: (request: AgentSession.SessionRequest['request'], id: string) => Promise<void>;
    performRpc: (method: string, payload: string) => Promise<string>;
  }
}

createRoot(document.getElementById('root')!).render(<Page />);
