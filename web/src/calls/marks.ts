/** A number takes so much beside its line; closer to each other, none can be read or hit. */
export const ROOM_PX = 26;

/** The turns whose numbers have room, in order; of those that are too close to the one before there is none. */
export function withRoom<T>(turns: readonly T[], begun: (turn: T) => number, lengthMs: number, widthPx: number): T[] {
  const kept: T[] = [];
  let free = -Infinity;
  for (const turn of turns) {
    const at = (begun(turn) / lengthMs) * widthPx;
    if (at < free) continue;
    kept.push(turn);
    free = at + ROOM_PX;
  }
  return kept;
}
