import { useLocalParticipant } from '@livekit/components-react';
import { useState, type SyntheticEvent } from 'react';
import { HangUpIcon, MicIcon, MicOffIcon, SendIcon } from './icons';
import { ShareButtons } from './ShareButtons';

const TEXT_MAX = 2000;

interface Props {
  withMicrophone: boolean;
  onSay: (text: string) => boolean;
  onEnd: () => void;
}

export function Dock({ withMicrophone, onSay, onEnd }: Props) {
  return (
    <div className="dock">
      {withMicrophone && <MuteButton />}
      <ShareButtons />
      <ChatForm onSay={onSay} />
      <button className="round round-end" type="button" data-testid="end" onClick={onEnd} aria-label="End the call">
        <HangUpIcon />
      </button>
    </div>
  );
}

function MuteButton() {
  const { localParticipant, isMicrophoneEnabled } = useLocalParticipant();
  const [failed, setFailed] = useState(false);
  const toggle = async () => {
    try {
      await localParticipant.setMicrophoneEnabled(!isMicrophoneEnabled);
      setFailed(false);
    } catch {
      setFailed(true);
    }
  };
  return (
    <button
      className="round"
      type="button"
      data-testid="mute"
      aria-pressed={!isMicrophoneEnabled}
      aria-label={failed ? 'Mute the microphone; that did not work, try again' : 'Mute the microphone'}
      title={isMicrophoneEnabled ? 'Mute' : 'Unmute'}
      onClick={() => void toggle()}
    >
      {isMicrophoneEnabled ? <MicIcon /> : <MicOffIcon />}
    </button>
  );
}

function ChatForm({ onSay }: { onSay: Props['onSay'] }) {
  const [text, setText] = useState('');
  const [full, setFull] = useState(false);
  const send = () => {
    const words = text.trim();
    if (!words) return;
    const said = onSay(words);
    if (said) setText('');
    setFull(!said); // the words stay in the field for another try
  };
  return (
    <form
      className="chat"
      data-failed={full}
      onSubmit={(event: SyntheticEvent) => {
        event.preventDefault();
        send();
      }}
    >
      <input
        data-testid="chat-input"
        value={text}
        maxLength={TEXT_MAX}
        placeholder="Type a message"
        aria-label={full ? 'Message, not sent: too many wait already; try again' : 'Message'}
        autoComplete="off"
        onChange={(event) => {
          setText(event.target.value);
        }}
      />
      <button
        className="send"
        type="submit"
        data-testid="chat-send"
        disabled={!text.trim()}
        aria-label="Send"
      >
        <SendIcon />
      </button>
    </form>
  );
}
