import { describe, expect, it } from 'vitest';
import { ROOM_PX, withRoom } from './marks';

const every = (ms: number, count: number) => Array.from({ length: count }, (_, index) => index * ms);
const same = (ms: number) => ms;

describe('numbers of turns', () => {
  it('are all there where there is room', () => {
    expect(withRoom(every(1000, 10), same, 10_000, 10 * ROOM_PX)).toHaveLength(10);
  });

  it('are left out where they would cover each other', () => {
    expect(withRoom(every(1000, 10), same, 10_000, 5 * ROOM_PX)).toEqual([0, 2000, 4000, 6000, 8000]);
  });

  it('begin with the first, also before anything was measured', () => {
    expect(withRoom(every(1000, 10), same, 10_000, 0)).toEqual([0]);
  });
});
