import { createAudioAnalyser, type LocalAudioTrack } from 'livekit-client';
import { useEffect, useRef, useState } from 'react';

/** So loud that it is somebody, not the room. */
const HEARD = 0.06;
const GAIN = 2.5;
const TOLD_MS = 250;

interface Props {
  track: LocalAudioTrack | undefined;
  label: string;
  onHeard?: () => void;
}

/** How loud a microphone is. The bar is drawn outside of React: it moves sixty times a second. */
export function Meter({ track, label, onHeard }: Props) {
  const bar = useRef<HTMLSpanElement>(null);
  const [told, setTold] = useState(0);

  useEffect(() => {
    if (!track) return undefined;
    const { calculateVolume, cleanup } = createAudioAnalyser(track, { smoothingTimeConstant: 0.6 });
    let frame = 0;
    let toldAtMs = 0;
    const draw = (nowMs: number) => {
      const level = Math.min(1, calculateVolume() * GAIN);
      if (bar.current) bar.current.style.transform = `scaleX(${level})`;
      if (nowMs - toldAtMs >= TOLD_MS) {
        toldAtMs = nowMs;
        setTold(Math.round(level * 100));
        if (level > HEARD) onHeard?.();
      }
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => {
      cancelAnimationFrame(frame);
      void cleanup();
    };
  }, [track, onHeard]);

  return (
    <span
      className="meter"
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={told}
      data-testid="meter"
    >
      <span className="meter-bar" ref={bar} />
    </span>
  );
}
