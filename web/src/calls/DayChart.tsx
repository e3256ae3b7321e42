import { useState } from 'react';
import { ceiling, pieces } from './days';

export interface Series {
  name: string;
  kind: 'line' | 'bar';
  values: readonly (number | null)[];
}

interface Props {
  title: string;
  days: readonly string[];
  series: readonly Series[];
  say: (value: number | null) => string;
}

const WIDTH = 320;
const HEIGHT = 96;
const GAP = 0.28;

/** A small chart of days: what is under the pointer is told in words, and a screen reader gets the table. */
export function DayChart({ title, days, series, say }: Props) {
  const [at, setAt] = useState<number | null>(null);
  const top = ceiling(Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const step = WIDTH / days.length;
  const x = (index: number) => (index + 0.5) * step;
  const y = (value: number) => HEIGHT - (value / top) * HEIGHT;
  const told = at ?? lastKnown(series, days.length);

  return (
    <figure className="chart">
      <figcaption>
        <span className="chart-title">
          {title} <span className="soft">up to {say(top)}</span>
        </span>
        <span className="chart-told" aria-hidden="true">
          {series.map(({ name, values }, index) => (
            <span key={name} data-series={index}>
              {series.length > 1 && <i />} {name} <b>{say(values[told] ?? null)}</b>
            </span>
          ))}
          <span className="soft">{dayName(days[told])}</span>
        </span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        aria-hidden="true"
        onPointerMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          setAt(Math.min(days.length - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * days.length))));
        }}
        onPointerLeave={() => {
          setAt(null);
        }}
      >
        {[0, 0.5, 1].map((line) => (
          <path key={line} className="chart-grid" d={`M0 ${line * HEIGHT}H${WIDTH}`} />
        ))}
        <rect className="chart-cursor" x={told * step} width={step} y={0} height={HEIGHT} />
        {series.map(({ name, kind, values }, index) =>
          kind === 'bar'
            ? values.map((value, day) =>
                value === null || value <= 0 ? null : (
                  <rect
                    key={`${name}${days[day] ?? day}`}
                    data-series={index}
                    className="chart-bar"
                    x={day * step + (step * GAP) / 2}
                    width={step * (1 - GAP)}
                    y={y(value)}
                    height={HEIGHT - y(value)}
                  />
                ),
              )
            : pieces(values).map((piece) => (
                <polyline
                  key={`${name}${piece[0]?.[0] ?? 0}`}
                  data-series={index}
                  className="chart-line"
                  points={lineOf(piece, x, y, step)}
                />
              )),
        )}
      </svg>
      <Table title={title} days={days} series={series} say={say} />
    </figure>
  );
}

/** A day alone is a short stroke: a line of one point would not be seen. */
function lineOf(piece: [number, number][], x: (at: number) => number, y: (value: number) => number, step: number) {
  const [only, second] = piece;
  if (only !== undefined && second === undefined) {
    const [day, value] = only;
    return `${x(day) - step * 0.4},${y(value)} ${x(day) + step * 0.4},${y(value)}`;
  }
  return piece.map(([day, value]) => `${x(day)},${y(value)}`).join(' ');
}

function Table({ title, days, series, say }: Props) {
  return (
    <table className="visually-hidden">
      <caption>{title} by day</caption>
      <thead>
        <tr>
          <th scope="col">Day</th>
          {series.map(({ name }) => (
            <th scope="col" key={name}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {days.map((day, at) =>
          series.every(({ values }) => values[at] === null) ? null : (
            <tr key={day}>
              <th scope="row">{day}</th>
              {series.map(({ name, values }) => (
                <td key={name}>{say(values[at] ?? null)}</td>
              ))}
            </tr>
          ),
        )}
      </tbody>
    </table>
  );
}

function lastKnown(series: readonly Series[], length: number): number {
  for (let at = length - 1; at > 0; at -= 1) if (series.some(({ values }) => values[at] != null)) return at;
  return 0;
}

function dayName(day: string | undefined): string {
  if (day === undefined) return '';
  return new Date(`${day}T12:00:00Z`).toLocaleDateString([], { day: 'numeric', month: 'short', timeZone: 'UTC' });
}
