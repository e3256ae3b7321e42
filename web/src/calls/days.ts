import type { DayStats } from './types';

export interface AgentDays {
  agent: string;
  calls: number;
  /** One for each day of the range, also for days without calls. */
  days: (DayStats | null)[];
}

export interface Range {
  days: string[];
  agents: AgentDays[];
}

const DAY_MS = 86_400_000;
const SHORTEST = 14;

/** Puts days in order by agent, the busiest first, with the days between; short ranges get some days before. */
export function byAgent(stats: readonly DayStats[]): Range {
  const known = stats.map(({ day }) => day).sort();
  const first = known[0];
  const last = known.at(-1);
  if (first === undefined || last === undefined) return { days: [], agents: [] };
  const end = Date.parse(last);
  const begin = Math.min(Date.parse(first), end - (SHORTEST - 1) * DAY_MS);
  const days: string[] = [];
  for (let at = begin; at <= end; at += DAY_MS) days.push(new Date(at).toISOString().slice(0, 10));
  const names = [...new Set(stats.map(({ agent }) => agent))];
  const agents = names.map((agent) => {
    const own = new Map(stats.filter((row) => row.agent === agent).map((row) => [row.day, row]));
    const calls = [...own.values()].reduce((sum, row) => sum + row.calls, 0);
    return { agent, calls, days: days.map((day) => own.get(day) ?? null) };
  });
  return { days, agents: agents.sort((a, b) => b.calls - a.calls) };
}

/** A round number at or above the largest value, for the top of a chart. */
export function ceiling(largest: number): number {
  if (largest <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(largest));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= largest) ?? 10;
  return step * power;
}

/** The points of a line, in parts where days are missing between. */
export function pieces(values: readonly (number | null)[]): [number, number][][] {
  const found: [number, number][][] = [];
  let piece: [number, number][] = [];
  values.forEach((value, at) => {
    if (value !== null) piece.push([at, value]);
    else if (piece.length > 0) {
      found.push(piece);
      piece = [];
    }
  });
  return piece.length > 0 ? [...found, piece] : found;
}
