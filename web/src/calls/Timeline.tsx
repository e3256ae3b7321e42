import { useState } from 'react';
import { Lanes } from './Lanes';
import { moment } from './format';
import { Legend } from './Legend';
import type { CallPageData } from './types';
import { Wave } from './Wave';

export interface Player {
  seek: (ms: number) => void;
  toggle: () => void;
}

interface Props {
  data: CallPageData;
  onPlayer: (player: Player | null) => void;
  onToggle: () => void;
  atMs: number;
  onTime: (ms: number) => void;
  onSeek: (ms: number) => void;
}

const ZOOMS = [1, 2, 4, 8];
const SPEEDS = [1, 1.5, 2];

/** Both voices over time: the sound where it was recorded, and who spoke when in any case. */
export function Timeline({ data, atMs, onPlayer, onToggle, onTime, onSeek }: Props) {
  const [zoom, setZoom] = useState(1);
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const lengthMs = Math.max(data.length_ms, 1);

  return (
    <section className="timeline" aria-label="The call over time">
      <div className="timeline-bar">
        {data.recorded && (
          <>
            <button
              className="play"
              type="button"
              onClick={onToggle}
              data-testid="play"
              aria-label={playing ? 'Pause' : 'Play'}
            >
              <svg viewBox="0 0 24 24" aria-hidden="true">
                {playing ? <path d="M7 5h3.5v14H7zM13.5 5H17v14h-3.5z" /> : <path d="M8 5v14l11-7z" />}
              </svg>
            </button>
            <Choice label="Speed" values={SPEEDS} chosen={speed} say={(value) => `${value}×`} onChoose={setSpeed} />
          </>
        )}
        <output className="timeline-time" data-testid="time">
          {moment(atMs)} <span className="soft">of {moment(lengthMs)}</span>
        </output>
        <span className="timeline-keys soft">
          <kbd>J</kbd> <kbd>K</kbd> next and previous turn{data.recorded && (
            <>
              , <kbd>Space</kbd> play
            </>
          )}
        </span>
        <Choice label="Zoom" values={ZOOMS} chosen={zoom} say={(value) => `${value}×`} onChoose={setZoom} />
      </div>
      <div className="timeline-body" data-recorded={data.recorded}>
        <div className="timeline-names soft" aria-hidden="true">
          {data.recorded && (
            <>
              <span className="wave-name">Caller</span>
              <span className="wave-name">Agent</span>
            </>
          )}
          <span className="lane-name">{data.recorded ? 'Speech' : 'Caller'}</span>
          <span className="lane-name">{data.recorded ? 'Replies' : 'Agent'}</span>
        </div>
        <div className="timeline-scroll">
          <div className="timeline-inner" style={{ width: `${zoom * 100}%` }}>
            {data.recorded && (
              <Wave
                id={data.call.id}
                lengthMs={lengthMs}
                speed={speed}
                zoom={zoom}
                onPlayer={onPlayer}
                onTime={onTime}
                onPlaying={setPlaying}
              />
            )}
            <Lanes data={data} lengthMs={lengthMs} atMs={atMs} onSeek={onSeek} />
          </div>
        </div>
      </div>
      <Legend data={data} />
      {!data.recorded && data.call.state !== 'live' && (
        <p className="timeline-note soft" data-testid="not-recorded">
          This call was not recorded. With <code>record: true</code> in the agent file, the sound of both sides is here.
        </p>
      )}
    </section>
  );
}

interface ChoiceProps {
  label: string;
  values: readonly number[];
  chosen: number;
  say: (value: number) => string;
  onChoose: (value: number) => void;
}

function Choice({ label, values, chosen, say, onChoose }: ChoiceProps) {
  return (
    <label className="choice">
      <span>{label}</span>
      <select
        value={chosen}
        onChange={(event) => {
          onChoose(Number(event.target.value));
        }}
      >
        {values.map((value) => (
          <option key={value} value={value}>
            {say(value)}
          </option>
        ))}
      </select>
    </label>
  );
}
