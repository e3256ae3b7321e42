import { describe, expect, it } from 'vitest';
import { reckoned, stretchesIn, wordAt, wordsOf } from './wordTimes';

describe('words of the caller', () => {
  it('are spread over what was spoken, not over the pause in it', () => {
    expect(reckoned(['aa', 'bb', 'cc', 'dd'], [[1000, 1400], [3000, 3400]])).toEqual([1000, 1200, 3000, 3200]);
  });

  it('take time by their letters', () => {
    expect(reckoned(['a', 'bbb'], [[0, 400]])).toEqual([0, 100]);
  });

  it('that were typed are all said at once', () => {
    expect(reckoned(['so', 'long'], [[500, 500]])).toEqual([500, 500]);
  });

  it('belong to the stretches that lie in their turn', () => {
    const speech = [[0, 900], [1000, 1500], [1800, 2500], [2600, 3000]] as const;
    expect(stretchesIn(speech, 1000, 2500)).toEqual([[1000, 1500], [1800, 2500]]);
    expect(stretchesIn([], 1000, 2500)).toEqual([[1000, 2500]]);
  });
});

describe('the word that is said', () => {
  it('is the last that has begun', () => {
    expect(wordAt([100, 100, 300], 250)).toBe(1);
    expect(wordAt([100, 100, 300], 300)).toBe(2);
    expect(wordAt([100], 50)).toBe(-1);
  });

  it('is one of a text as it is shown', () => {
    expect(wordsOf(' On  Tuesday\n')).toEqual(['On', 'Tuesday']);
  });
});
