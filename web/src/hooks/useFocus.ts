import { useEffect, useRef, type RefObject } from 'react';

/** Moves the focus to what has just come on screen, so that a screen reader reads it and Tab goes on from there. */
export function useFocus<T extends HTMLElement>(active = true): RefObject<T | null> {
  const element = useRef<T>(null);
  useEffect(() => {
    if (active) element.current?.focus({ preventScroll: true });
  }, [active]);
  return element;
}
