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
  const box = useRef<HTMLDivElement>(null);
  const follow = useRef(true);

  useEffect(() => {
    const element = box.current;
    if (element && live && follow.current) element.scrollTop = element.scrollHeight;
  }, [captions, live]);

  // What comes above or below makes the box smaller, and a phone that is turned makes it another.
  useEffect(() => {
    const element = box.current;
    if (!element || !live) return undefined;
    const observer = new ResizeObserver(() => {
      if (follow.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => { observer.disconnect(); };
  }, [live]);

  // Somebody who scrolled up to read is left there.
  const noteScroll = () => {
    const element = box.current;
    if (element) follow.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
  };

  return (
    // A region of its own to Tab to: the keyboard scrolls it.
    <div
      className="captions"
      ref={box}
      onScroll={noteScroll}
      data-testid="captions"
      role={live ? 'log' : 'region'}
      aria-label="Captions"
      tabIndex={0}
    >
      {captions.length === 0 && live && <p className="captions-empty">What is said appears here.</p>}
      <ol>
        {captions.map((caption) => (
          <li
            key={caption.id}
            className={`caption caption-${caption.side}`}
            data-testid={`caption-${caption.side}`}
            data-final={caption.final}
            data-pending={caption.pending}
          >
            <span className="caption-who">
              {caption.side === 'agent' ? agentName : 'You'}
              {caption.typed && <span className="caption-typed"> typed</span>}
              {caption.pending && <span className="caption-pending"> · not sent yet</span>}
            </span>
            <span className="caption-text">
              {caption.text}
              {caption.unheard && (
                <>
                  {' '}
                  <s className="caption-unheard">
                    <span className="visually-hidden">Not heard: </span>
                    {caption.unheard}
                  </s>
                </>
              )}
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}
