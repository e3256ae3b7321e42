import { useCallback, useState } from 'react';
import type { SiteConfig } from '../call/api';
import { SoundDialog } from '../devices/SoundDialog';
import { useDevices } from '../devices/useDevices';
import { useMicrophoneTest } from '../devices/useMicrophoneTest';
import { useFocus } from '../hooks/useFocus';
import { useInstall } from '../pwa/useInstall';
import { MicIcon, SoundIcon } from './icons';

interface Props {
  agentName: string;
  stages: SiteConfig['stages'];
  /** Somebody has come back here from a call. */
  again: boolean;
  onStart: () => void;
  onType: () => void;
}

export function Welcome({ agentName, stages, again, onStart, onType }: Props) {
  const title = useFocus<HTMLHeadingElement>(again);
  const [checking, setChecking] = useState(false);
  const install = useInstall();
  return (
    <section className="welcome">
      <div className="welcome-call">
        <button className="call-button" data-testid="start" type="button" onClick={onStart}>
          <span className="call-button-ring" aria-hidden="true" />
          <MicIcon />
          <span className="visually-hidden">Start the call</span>
        </button>
        <h1 ref={title} tabIndex={-1}>
          Talk to {agentName}
        </h1>
        <p className="lead">Press the button and speak. You can interrupt at any time.</p>
      </div>
      <div className="welcome-more">
        <div className="actions">
          <button className="quiet" type="button" data-testid="start-typing" onClick={onType}>
            Type instead
          </button>
          <button className="quiet" type="button" data-testid="sound-check" onClick={() => { setChecking(true); }}>
            <SoundIcon /> Check the sound
          </button>
          {install && (
            <button className="quiet" type="button" data-testid="install" onClick={install}>
              Install as an app
            </button>
          )}
        </div>
        {stages.length > 0 && (
          <dl className="stages" data-testid="config">
            {stages.map(({ stage, label }) => (
              <div key={stage}>
                <dt>{stage}</dt>
                <dd>{label}</dd>
              </div>
            ))}
          </dl>
        )}
      </div>
      {checking && <SoundCheck onClose={() => { setChecking(false); }} />}
    </section>
  );
}

/** Before a call: opens the microphone to listen to it. */
function SoundCheck({ onClose }: { onClose: () => void }) {
  const devices = useDevices();
  const { refresh } = devices;
  const onOpen = useCallback(() => { refresh(); }, [refresh]);
  const test = useMicrophoneTest(true, devices.chosen.audioinput, onOpen);
  return <SoundDialog devices={devices} {...test} onChoose={devices.choose} onClose={onClose} />;
}
