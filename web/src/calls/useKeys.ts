import { useEffect } from 'react';
import type { Turn } from './types';

const STEP_MS = 2_000;

/** Space plays, J and K go a turn on and back, the arrows two seconds; not while something is typed or pressed. */
export function useKeys(
  turns: readonly Turn[],
  atMs: number,
  seek: (ms: number) => void,
  toggle: (() => void) | null,
): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, select, textarea')) return;
      const begins = turns.flatMap((turn) => turn.started_at_ms ?? turn.audible_at_ms ?? []);
      switch (event.key) {
        case ' ':
          if (toggle === null || target.closest('a, button, summary')) return;
          toggle();
          break;
        case 'j':
          seek(begins.find((ms) => ms > atMs + 1) ?? atMs);
          break;
        case 'k':
          seek(begins.findLast((ms) => ms < atMs - 300) ?? 0);
          break;
        case 'ArrowLeft':
          seek(Math.max(0, atMs - STEP_MS));
          break;
        case 'ArrowRight':
          seek(atMs + STEP_MS);
          break;
        default:
          return;
      }
      event.preventDefault();
    };
    window.addEventListener('keydown', press);
    return () => {
      window.removeEventListener('keydown', press);
    };
  }, [turns, atMs, seek, toggle]);
}
