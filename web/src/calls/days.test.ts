import { describe, expect, it } from 'vitest';
import { byAgent, ceiling, pieces } from './days';
import type { DayStats } from './types';

const day = (name: string, agent: string, calls: number): DayStats => ({
  day: name,
  agent,
  calls,
  call_s: 0,
  answers: 0,
  p50_ms: null,
  p95_ms: null,
  p99_ms: null,
  cost_usd: '0',
  wasted_usd: '0',
});

describe('days', () => {
  it('has every day of the range, over the end of a month, and the busiest agent first', () => {
    const range = byAgent([day('2026-10-20', 'a', 1), day('2026-11-03', 'b', 5)]);
    expect(range.days).toHaveLength(15);
    expect(range.days[11]).toBe('2026-10-31');
    expect(range.agents.map(({ agent }) => agent)).toEqual(['b', 'a']);
    expect(range.agents[0]?.days[14]?.calls).toBe(5);
    expect(range.agents[0]?.days[0]).toBeNull();
  });

  it('gives a single day some days before it, and nothing to nothing', () => {
    expect(byAgent([day('2026-11-27', 'a', 1)]).days).toHaveLength(14);
    expect(byAgent([])).toEqual({ days: [], agents: [] });
  });
});

describe('a chart', () => {
  it.each([
    [0, 1],
    [7, 10],
    [1369, 2000],
    [2400, 2500],
    [0.047, 0.05],
  ])('of values up to %d goes to %d', (largest, top) => {
    expect(ceiling(largest)).toBeCloseTo(top);
  });

  it('breaks its line where a day has no value', () => {
    expect(pieces([1, 2, null, 4, null])).toEqual([
      [
        [0, 1],
        [1, 2],
      ],
      [[3, 4]],
    ]);
    expect(pieces([null])).toEqual([]);
  });
});
