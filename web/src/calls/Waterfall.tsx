import { OWNER_NAMES, wait } from './format';
import type { Part, Turn } from './types';

interface Props {
  turn: Turn;
  /** The longest wait of the call: all turns are drawn to the same scale. */
  slowestMs: number;
  open: boolean;
}

const SMALL_MS = 80;
const SMALL_SHARE = 0.1;

/** Nobody is told to change what takes no time. */
function matters(part: Part, totalMs: number): boolean {
  return part.ms >= Math.max(SMALL_MS, totalMs * SMALL_SHARE);
}

/** The wait for an answer as parts that follow each other; under it what each is, and what would make it shorter. */
export function Waterfall({ turn, slowestMs, open }: Props) {
  const { parts, latency_ms } = turn;
  const total = latency_ms ?? 0;
  const longest = parts.reduce<Part | null>((most, part) => (most && most.ms >= part.ms ? most : part), null);
  return (
    <details className="waterfall" open={open} data-testid="waterfall">
      <summary>
        <span className="waterfall-total">
          Answered after <b>{wait(total)}</b>
        </span>
        <span className="waterfall-most soft">{longest && `most of it ${longest.title.toLowerCase()}, ${wait(longest.ms)}`}</span>
        <span className="waterfall-bar" style={{ width: `${(total / slowestMs) * 100}%` }} aria-hidden="true">
          {parts.map((part) => (
            <i key={part.key + String(part.at_ms)} data-owner={part.owner} style={{ flexGrow: part.ms }} />
          ))}
        </span>
      </summary>
      <table>
        <caption className="visually-hidden">Parts of the wait; they add up to it</caption>
        <thead className="visually-hidden">
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Whose</th>
            <th scope="col">How long</th>
            <th scope="col">What it is, and what to change</th>
          </tr>
        </thead>
        <tbody>
          {parts.map((part) => (
            <tr key={part.key + String(part.at_ms)} data-testid="part" data-ms={part.ms}>
              <th scope="row">
                <i data-owner={part.owner} />
                {part.title}
                {part.by !== '' && <span className="part-by soft">{part.by}</span>}
              </th>
              <td>{OWNER_NAMES[part.owner]}</td>
              <td className="number">{wait(part.ms)}</td>
              <td className="part-advice">
                {part.means}
                {matters(part, total) && <> {part.advice}</>}
              </td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr data-testid="parts-together">
            <th scope="row">Together</th>
            <td />
            <td className="number">{wait(parts.reduce((sum, part) => sum + part.ms, 0))}</td>
            <td className="part-advice">From the caller’s last sound heard here to the first sound sent.</td>
          </tr>
        </tfoot>
      </table>
    </details>
  );
}
