import { Fragment, type MouseEvent } from 'react';
import { wordAt, wordsOf } from './wordTimes';

interface Props {
  text: string;
  /** When each of its words was said, ms; empty where nobody knows. */
  times: readonly number[];
  /** Where the call is played; null elsewhere than in this text. */
  atMs: number | null;
  onSeek: (ms: number) => void;
}

/** What was said, word by word: the one that is played is marked, and a click on one goes to it. */
export function Words({ text, times, atMs, onSeek }: Props) {
  const words = wordsOf(text);
  if (times.length !== words.length) return text;
  const now = atMs === null ? -1 : wordAt(times, atMs);
  const seek = (event: MouseEvent<HTMLElement>) => {
    const word = (event.target as HTMLElement).closest<HTMLElement>('[data-at]')?.dataset['at'];
    // Who marks words to copy them wants to stay where they are.
    if (word !== undefined && window.getSelection()?.isCollapsed !== false) onSeek(Number(word));
  };
  return (
    <span onClick={seek} data-testid="words">
      {words.map((word, index) => (
        <Fragment key={index}>
          {index > 0 && ' '}
          <span className="word" data-at={times[index]} data-now={index === now}>
            {word}
          </span>
        </Fragment>
      ))}
    </span>
  );
}
