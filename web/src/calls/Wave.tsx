import { useEffect, useRef, useState } from 'react';
import WaveSurfer from 'wavesurfer.js';
import { callUrl, fetchPeaks } from './api';
import type { Player } from './Timeline';

interface Props {
  id: string;
  lengthMs: number;
  speed: number;
  zoom: number;
  onPlayer: (player: Player | null) => void;
  onTime: (ms: number) => void;
  onPlaying: (playing: boolean) => void;
}

const CHANNEL_PX = 44;

/** The recording, the caller above and the agent below. Its shape comes from the server; the sound when it is played. */
export function Wave({ id, lengthMs, speed, zoom, onPlayer, onTime, onPlaying }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef<WaveSurfer | null>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    const container = box.current;
    if (!container) return;
    let current = true;
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    const wave = WaveSurfer.create({
      container,
      height: CHANNEL_PX,
      splitChannels: colours(container),
      cursorWidth: 2,
      cursorColor: colour(container, '--ink'),
      barWidth: 2,
      barGap: 1,
      barRadius: 1,
      hideScrollbar: true,
      normalize: true,
      dragToSeek: true,
    });
    adoptStyles(container);
    shown.current = wave;
    const lengthS = lengthMs / 1000;
    onPlayer({
      seek: (ms) => {
        wave.setTime(Math.min(lengthS, ms / 1000));
      },
      toggle: () => void wave.playPause(),
    });
    wave.on('timeupdate', (seconds) => {
      onTime(seconds * 1000);
    });
    wave.on('play', () => {
      onPlaying(true);
    });
    wave.on('pause', () => {
      onPlaying(false);
    });
    const recolour = () => {
      wave.setOptions({ splitChannels: colours(container), cursorColor: colour(container, '--ink') });
    };
    dark.addEventListener('change', recolour);
    fetchPeaks(id).then(
      ({ channels, duration_s }) => {
        // The lanes below are as long as the call, and so must be the sound.
        const padded = channels.map((peaks) => pad(peaks, lengthS / duration_s));
        if (current) void wave.load(`${callUrl(id)}/audio`, padded, Math.max(lengthS, duration_s));
      },
      () => {
        if (current) setFailed(true);
      },
    );
    return () => {
      current = false;
      onPlayer(null);
      shown.current = null;
      dark.removeEventListener('change', recolour);
      wave.destroy();
    };
  }, [id, lengthMs, onPlayer, onTime, onPlaying]);

  useEffect(() => {
    shown.current?.setPlaybackRate(speed, true);
  }, [speed]);

  useEffect(() => {
    shown.current?.setOptions({});
  }, [zoom]);

  return (
    <>
      <div className="wave" ref={box} data-testid="wave" aria-hidden="true" />
      {failed && <p className="timeline-note soft">The recording cannot be read.</p>}
    </>
  );
}

function colours(element: Element) {
  const caller = colour(element, '--caller');
  const agent = colour(element, '--agent');
  return [
    { waveColor: `color-mix(in srgb, ${caller} 55%, transparent)`, progressColor: caller },
    { waveColor: `color-mix(in srgb, ${agent} 55%, transparent)`, progressColor: agent },
  ];
}

function colour(element: Element, name: string): string {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

function pad(peaks: readonly number[], longer: number): number[] {
  const missing = Math.max(0, Math.round(peaks.length * (longer - 1)));
  return [...peaks, ...new Array<number>(missing).fill(0)];
}

/** A strict content policy lets no <style> in: the same rules as a sheet of its own are allowed. */
function adoptStyles(container: Element): void {
  for (const { shadowRoot } of container.children) {
    const style = shadowRoot?.querySelector('style');
    if (!shadowRoot || !style) continue;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style.textContent);
    shadowRoot.adoptedStyleSheets = [sheet];
  }
}
