import { describe, expect, it } from 'vitest';
import { STALL_MS, stalls, watched, type PacketWatch } from './stall';

function after(...counts: [bytes: number, atMs: number][]): PacketWatch | undefined {
  return counts.reduce<PacketWatch | undefined>((watch, [bytes, atMs]) => watched(watch, bytes, atMs), undefined);
}

describe('a voice that does not come any more', () => {
  it('is one of which nothing comes', () => {
    const watch = after([10, 0], [60, 1_000], [60, 2_000], [60, 3_000]);
    expect(stalls(watch, 1_000 + STALL_MS - 1)).toBe(false);
    expect(stalls(watch, 1_000 + STALL_MS)).toBe(true);
  });

  it('is back with the first byte', () => {
    expect(stalls(after([60, 0], [60, 5_000], [61, 6_000]), 6_000)).toBe(false);
  });

  it('is none before it has begun, and none where nobody looks', () => {
    expect(stalls(after([0, 0], [0, 9_000]), 9_500)).toBe(false);
    expect(stalls(undefined, 9_000)).toBe(false);
  });
});
