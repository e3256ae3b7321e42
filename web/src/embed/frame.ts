/** What a page in a frame and the widget around it tell each other. Nothing in it is secret. */
export type FrameState = 'idle' | 'calling' | 'live' | 'over';

export interface FrameMessage {
  repartee: 'ready' | 'state' | 'minimise';
  state?: FrameState;
}

/** The path of the page made for frames. */
export const FRAME_PATH = '/embed';

export function isFrameMessage(data: unknown): data is FrameMessage {
  if (typeof data !== 'object' || data === null) return false;
  const { repartee, state } = data as Record<string, unknown>;
  const known = state === undefined || state === 'idle' || state === 'calling' || state === 'live' || state === 'over';
  return known && (repartee === 'ready' || repartee === 'state' || repartee === 'minimise');
}
