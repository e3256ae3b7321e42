export type Stretch = readonly [fromMs: number, toMs: number];

export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

/** The stretches of the caller's voice that are a turn's; the whole turn where none is known. */
export function stretchesIn(speech: readonly Stretch[], fromMs: number, toMs: number): readonly Stretch[] {
  const own = speech.filter(([from, to]) => from < toMs && to > fromMs);
  return own.length > 0 ? own : [[fromMs, toMs]];
}

/** When each word began, ms, reckoned: recognisers tell the words of a stretch, and not their times. */
export function reckoned(words: readonly string[], stretches: readonly Stretch[]): number[] {
  const letters = words.reduce((sum, word) => sum + word.length, 0);
  const spokenMs = stretches.reduce((sum, [from, to]) => sum + (to - from), 0);
  let before = 0;
  return words.map((word) => {
    const at = timeAfter((before / Math.max(1, letters)) * spokenMs, stretches);
    before += word.length;
    return at;
  });
}

function timeAfter(ms: number, stretches: readonly Stretch[]): number {
  let left = ms;
  for (const [from, to] of stretches) {
    if (left < to - from) return from + left;
    left -= to - from;
  }
  return stretches.at(-1)?.[1] ?? 0;
}

/** Which word is said at a moment; -1 before the first. */
export function wordAt(times: readonly number[], atMs: number): number {
  return times.findLastIndex((time) => time <= atMs);
}
