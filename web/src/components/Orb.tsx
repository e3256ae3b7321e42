import { BarVisualizer, type AgentState } from '@livekit/components-react';
import { createAudioAnalyser, type LocalAudioTrack } from 'livekit-client';
import { useEffect, useRef, type ComponentProps } from 'react';

/** Broken: nothing is heard either way. */
export type OrbState = AgentState | 'broken';

interface Props {
  state: OrbState;
  /** The agent's voice. */
  voice?: ComponentProps<typeof BarVisualizer>['track'];
  /** The caller's: the ring around follows it. */
  microphone?: LocalAudioTrack | undefined;
  large?: boolean;
}

const BARS = 5;

/** What the other end is doing, as motion: a ring that follows the caller, an arc that turns, bars that follow the voice. */
export function Orb({ state, voice, microphone, large = false }: Props) {
  const ring = useRef<HTMLSpanElement>(null);

  useEffect(() => {
    if (!microphone) return undefined;
    const { calculateVolume, cleanup } = createAudioAnalyser(microphone, { smoothingTimeConstant: 0.7 });
    let frame = 0;
    const draw = () => {
      ring.current?.style.setProperty('--level', String(Math.min(1, calculateVolume() * 2.5)));
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => {
      cancelAnimationFrame(frame);
      void cleanup();
    };
  }, [microphone]);

  return (
    <span className="orb" data-state={state} data-large={large} aria-hidden="true">
      <span className="orb-ring" ref={ring} />
      <span className="orb-arc" />
      <BarVisualizer
        state={state === 'broken' ? 'connecting' : state}
        {...(voice ? { track: voice } : {})}
        barCount={BARS}
        options={{ minHeight: 22, maxHeight: 100 }}
      />
    </span>
  );
}
