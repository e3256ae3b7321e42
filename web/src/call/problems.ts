/** Everything that can stop a call, as data: one place decides the words and what the caller can do next. */
export type ProblemCode =
  | 'mic_denied'
  | 'mic_missing'
  | 'mic_busy'
  | 'insecure_page'
  | 'no_agent'
  | 'capacity'
  | 'spent'
  | 'in_call'
  | 'rate_limited'
  | 'refused'
  | 'server_unreachable'
  | 'media_unreachable'
  | 'agent_absent'
  | 'agent_left'
  | 'connection_lost'
  | 'over'
  | 'elsewhere'
  | 'unknown';

export interface Problem {
  code: ProblemCode;
  title: string;
  detail: string;
  /** Seconds before another try makes sense; the page counts them down. */
  retryAfterS?: number;
  /** The call still works by typing, without a microphone. */
  canType?: boolean;
}

const TEXTS: Record<ProblemCode, { title: string; detail: string; canType?: boolean }> = {
  mic_denied: {
    title: 'The microphone is blocked',
    detail:
      'Your browser did not allow this page to use the microphone. Open the site settings next to the address bar, set Microphone to Allow, then try again.',
    canType: true,
  },
  mic_missing: {
    title: 'No microphone found',
    detail: 'Plug in or switch on a microphone or headset, then try again.',
    canType: true,
  },
  mic_busy: {
    title: 'The microphone is in use',
    detail: 'Another app is holding the microphone. Close other calls or recorders, then try again.',
    canType: true,
  },
  insecure_page: {
    title: 'This address cannot use the microphone',
    detail: 'Browsers only share the microphone with pages on HTTPS or on localhost. Open this page over https:// and try again.',
    canType: true,
  },
  no_agent: {
    title: 'No agent is available',
    detail: 'The agent is not running right now. It may be restarting.',
  },
  capacity: {
    title: 'All lines are busy',
    detail: 'Every line is taken at the moment. One should free up shortly.',
  },
  spent: {
    title: 'No more calls today',
    detail: 'The budget for today is spent. Calls are taken again tomorrow.',
  },
  in_call: {
    title: 'You are in a call already',
    detail: 'End the other call first, then try again.',
  },
  rate_limited: {
    title: 'Too many tries',
    detail: 'There were too many calls from here in a short time. Wait a moment.',
  },
  refused: {
    title: 'The call was not allowed',
    detail: 'The server did not accept this call. Reload the page; if it happens again, tell whoever runs this service.',
  },
  server_unreachable: {
    title: 'The server does not answer',
    detail: 'Check your internet connection. If that is fine, the service may be down for a moment.',
  },
  media_unreachable: {
    title: 'The call could not connect',
    detail: 'The audio server could not be reached. A firewall or VPN may be in the way; try another network.',
  },
  agent_absent: {
    title: 'The agent did not pick up',
    detail: 'The line opened but nobody joined within 20 seconds. Please try again.',
  },
  agent_left: {
    title: 'The agent left the call',
    detail: 'It dropped out and did not come back. Please start a new call.',
  },
  connection_lost: {
    title: 'The connection was lost',
    detail: 'The call could not be reconnected. Check your network, then start again.',
  },
  over: {
    title: 'The call is over',
    detail: 'The connection broke, and the call ended before it was back. Please start a new call.',
  },
  elsewhere: {
    title: 'The call moved to another tab',
    detail: 'This call was opened somewhere else, so it ended here.',
  },
  unknown: {
    title: 'Something went wrong',
    detail: 'The call could not be started. Please try again.',
  },
};

/** The problem for a code; a server's own sentence replaces the stock explanation. */
export function problem(code: ProblemCode, extra: { detail?: string; retryAfterS?: number } = {}): Problem {
  return { code, ...TEXTS[code], ...extra };
}

/** A failed step of starting a call. */
export class CallError extends Error {
  constructor(
    readonly problem: Problem,
    options?: ErrorOptions,
  ) {
    super(problem.title, options);
    this.name = 'CallError';
  }
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** The media server could not be reached. Firefox, unless told otherwise, reaches none on its own machine. */
export function mediaProblem(hostname = location.hostname, userAgent = navigator.userAgent): Problem {
  if (!LOOPBACK.test(hostname) || !userAgent.includes('Firefox/')) return problem('media_unreachable');
  return problem('media_unreachable', {
    detail:
      'Firefox connects no call to its own machine. Use another browser here, or set media.peerconnection.ice.loopback to true in about:config.',
  });
}

/** What `getUserMedia` threw, by the names the specification gives. */
export function microphoneProblem(error: unknown): Problem {
  const name = error instanceof Error || error instanceof DOMException ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return problem('mic_denied');
    case 'NotFoundError':
    case 'OverconstrainedError':
      return problem('mic_missing');
    case 'NotReadableError':
    case 'AbortError':
      return problem('mic_busy');
    default:
      return problem('unknown', { detail: 'The microphone could not be opened. Check it, then try again.' });
  }
}
