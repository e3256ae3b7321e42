/** What the server tells of calls, as it is sent. Times are in ms on the call's own clock, money is decimal text. */
export type State = 'live' | 'ended' | 'lost';
export type Owner = 'endpointing' | 'speech-to-text' | 'model' | 'tools' | 'voice' | 'network' | 'us';

export interface Money {
  cost_usd: string;
  wasted_usd: string;
  /** Requests whose price is not known: with any, the cost is "at least". */
  unpriced: number;
}

export interface CallHead extends Money {
  id: string;
  agent: string;
  agent_version: string;
  caller_id: string | null;
  started_at: string;
  ended_at: string | null;
  state: State;
  reason: string | null;
  call_s: number | null;
  speech_s: number | null;
  turns: number;
  latency_ms: number | null;
  slowest_ms: number | null;
  erased: boolean;
  turn_id?: number;
  snippet?: string;
}

export interface CallPageData {
  call: CallHead;
  length_ms: number;
  recorded: boolean;
  latency: {
    answers: number;
    p50_ms: number | null;
    p95_ms: number | null;
    slowest_ms: number | null;
    by_owner: Partial<Record<Owner, number>>;
  };
  turns: Turn[];
  speech: [number, number][];
  replies: Reply[];
  tools: ToolRun[];
  pictures: Picture[];
  goals: Goal[];
  hand_overs: HandOver[];
  line: Line;
  errors: Trouble[];
  bill: Money & { stages: Stage[]; outside: Money };
}

export interface Part {
  key: string;
  title: string;
  owner: Owner;
  by: string;
  at_ms: number;
  ms: number;
  /** What it is, in a sentence. */
  means: string;
  advice: string;
}

export interface Request {
  stage: string;
  model: string;
  began_at_ms: number;
  ended_at_ms: number;
  outcome: string;
  attempt: number;
  used: boolean;
  estimated: boolean;
  quantities: Record<string, string>;
  cost_usd: string | null;
}

export interface Turn extends Money {
  id: number;
  user_text: string;
  heard_text: string;
  unheard_text: string;
  /** When each word of what was heard was; empty where that is not known of every one. */
  heard_words_ms: number[];
  started_at_ms: number | null;
  ended_at_ms: number | null;
  audible_at_ms: number | null;
  finished_at_ms: number | null;
  latency_ms: number | null;
  parts: Part[];
  interrupted: boolean;
  thrown_away: number;
  requests: Request[];
}

export interface Reply {
  reply_id: number;
  turn_id: number;
  heard: 'all' | 'part' | 'none';
  began_at_ms: number;
  audible_at_ms: number | null;
  ended_at_ms: number | null;
}

export interface ToolRun {
  at_ms: number;
  tool: string;
  arguments: unknown;
  result: unknown;
  outcome: string;
  took_ms: number;
  turn_id: number | null;
}

/** What the model looked at; its time is its name. */
export interface Picture {
  at_ms: number;
  source: 'camera' | 'screen';
  turn_id: number | null;
}

export interface Goal {
  at_ms: number;
  goal_id: number;
  intent: string;
  status: string;
  known: number;
  missing: number;
}

/** The call went from one agent of a team to another. */
export interface HandOver {
  at_ms: number;
  giver: string;
  to: string;
  turn_id: number | null;
  reply_id: number;
  number: number;
}

/** How the caller's connection was. */
export interface Line {
  codec: string | null;
  quality: [number, string][];
  away: [number, number | null][];
  /** Shares of packets that did not come, and of the sound that was made up for them; null before the end. */
  lost: number | null;
  concealed: number | null;
  /** How long sound waited for packets that were late, on average; null before the end. */
  buffered_ms: number | null;
}

export interface Trouble {
  at_ms: number;
  kind: string;
  data: Record<string, unknown>;
}

export interface Stage extends Money {
  stage: string;
  model: string;
  requests: number;
  wasted_requests: number;
  quantities: Record<string, string>;
}

export interface CallList {
  calls: CallHead[];
  next: string | null;
  total?: number;
  agents?: string[];
  reasons?: string[];
}

export interface DayStats {
  day: string;
  agent: string;
  calls: number;
  call_s: number;
  answers: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  cost_usd: string;
  wasted_usd: string;
}

export interface Peaks {
  duration_s: number;
  channels: number[][];
}
