import { useEffect, useRef } from 'react';
import type { Caption } from '../captions/captions';

interface Props {
  captions: readonly Caption[];
  agentName: string;
  /** The call goes on: new words are announced and the list follows them. */
  live: boolean;
}

const NEAR_END_PX = 80;

export function Captions({ captions, agentName, live }: Props) {
  const list = useRef<HTMLOListElement>(null);
  const follow = useRef(true);

  useEffect(() => {
    const element = list.current;
    if (element && live && follow.current) element.scrollTop = element.scrollHeight;
  }, [captions, live]);

  // Somebody who scrolled up to read is left there.
  const noteScroll = () => {
    const element = list.current;
    if (element) follow.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
  };

  return (
    <ol
      className="captions"
      ref={list}
      onScroll={noteScroll}
      data-testid="captions"
      aria-label="Captions"
      {...(live ? { 'aria-live': 'polite', role: 'log' } : {})}
    >
      {captions.length === 0 && live && <li className="captions-empty">What is said appears here.</li>}
      {captions.map((caption) => (
        <li
          key={caption.id}
          className={`caption caption-${caption.side}`}
          data-testid={`caption-${caption.side}`}
          data-final={caption.final}
        >
          <span className="caption-who">
            {caption.side === 'agent' ? agentName : 'You'}
            {caption.typed && <span className="caption-typed"> typed</span>}
          </span>
          <span className="caption-text">
            {caption.text}
            {caption.unheard && <s className="caption-unheard"> {caption.unheard}</s>}
          </span>
        </li>
      ))}
    </ol>
  );
}
