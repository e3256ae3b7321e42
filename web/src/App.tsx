import { RoomContext } from '@livekit/components-react';
import { useEffect, useState } from 'react';
import { fetchConfig, type SiteConfig } from './call/api';
import { useCall } from './call/useCall';
import { useCaptions } from './captions/useCaptions';
import { CallView } from './components/CallView';
import { Ended } from './components/Ended';
import { Failed } from './components/Failed';
import { Joining } from './components/Joining';
import { isFramed, useFrame } from './embed/useFrame';
import { Welcome } from './components/Welcome';

const EMPTY: SiteConfig = { agentName: '', stages: [] };

export function App() {
  const [config, setConfig] = useState<SiteConfig>(EMPTY);
  const feed = useCaptions();
  const { phase, start, end, fail, reset } = useCall(feed.listen);
  const [callId, setCallId] = useState<string | null>(null);
  const [used, setUsed] = useState(false);
  const name = config.agentName || 'the agent';

  const framed = isFramed();
  useFrame(phase.name);

  useEffect(() => {
    let current = true;
    void fetchConfig().then((loaded) => {
      if (current) setConfig(loaded);
    });
    return () => {
      current = false;
    };
  }, []);

  useEffect(() => {
    document.title = config.agentName ? `${config.agentName} · voice call` : 'Voice call';
  }, [config.agentName]);

  const begin = (withMicrophone: boolean) => {
    setCallId(null);
    setUsed(true);
    start({ withMicrophone });
  };
  const again = () => { begin(true); };
  const byTyping = () => { begin(false); };

  return (
    <div className="shell" data-phase={phase.name} data-framed={framed}>
      {!framed && (
        <header className="masthead">
          <Mark />
          <span className="masthead-name">{config.agentName || 'repartee'}</span>
        </header>
      )}
      <main className="stage">
        {phase.name === 'idle' && (
          <Welcome agentName={name} stages={config.stages} again={used} onStart={again} onType={byTyping} />
        )}
        {phase.name === 'starting' && (
          <Joining agentName={name} step={phase.step} microphone={phase.microphone} onCancel={end} />
        )}
        {phase.name === 'live' && (
          <RoomContext.Provider value={phase.room}>
            <CallView
              agentName={name}
              startedAtMs={phase.startedAtMs}
              withMicrophone={phase.withMicrophone}
              captions={feed.captions}
              onSay={feed.say}
              onEnd={end}
              onProblem={fail}
              onCallId={setCallId}
            />
          </RoomContext.Provider>
        )}
        {phase.name === 'ended' && (
          <Ended
            durationMs={phase.durationMs}
            byAgent={phase.byAgent}
            agentName={name}
            captions={feed.captions}
            callId={callId}
            onAgain={again}
            onBack={reset}
          />
        )}
        {phase.name === 'failed' && <Failed problem={phase.problem} onRetry={again} onType={byTyping} onBack={reset} />}
      </main>
    </div>
  );
}

function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <path d="M8 14v4M13.3 10v12M18.6 7v18M24 13v6" />
    </svg>
  );
}
