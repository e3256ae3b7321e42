import { useEffect } from 'react';
import type { Phase } from '../call/phase';
import { FRAME_PATH, type FrameMessage, type FrameState } from './frame';

const STATES: Record<Phase['name'], FrameState> = {
  idle: 'idle',
  starting: 'calling',
  live: 'live',
  ended: 'over',
  failed: 'over',
};

export const isFramed = () => window.location.pathname === FRAME_PATH && window.parent !== window.self;

function tell(message: FrameMessage): void {
  // Whoever frames this page was allowed to by its headers, and hears no more than that somebody calls.
  window.parent.postMessage(message, '*');
}

/** Tells the widget around this page what it needs to show. */
export function useFrame(phase: Phase['name']): void {
  const state = STATES[phase];
  useEffect(() => {
    if (isFramed()) tell({ repartee: 'state', state });
  }, [state]);
  useEffect(() => {
    if (!isFramed()) return undefined;
    tell({ repartee: 'ready' });
    const escape = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) tell({ repartee: 'minimise' });
    };
    window.addEventListener('keydown', escape);
    return () => { window.removeEventListener('keydown', escape); };
  }, []);
}
