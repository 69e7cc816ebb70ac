/** What the service sends and takes; docs/http_api.md describes it. */

export interface Item {
  id: string;
  title: string;
  text: string;
  year: number | null;
  attributes: Record<string, string[]>;
  popularity: number;
}

export interface ShownItem {
  id: string;
  title: string;
  year: number | null;
  score: number;
  why: string;
  retriever_rank: number;
}

export interface Filters {
  any_of: Record<string, string[]>;
  all_of: Record<string, string[]>;
  none_of: Record<string, string[]>;
  year_min: number | null;
  year_max: number | null;
  exclude: string[];
}

/** A wish that was read from the words. */
export interface ReadConstraint {
  label: string;
  words: string;
  turn: number;
  constraint: string;
  hard?: boolean;
}

export interface FilterFacts {
  applied?: Filters;
  given?: Filters;
  read?: ReadConstraint[];
  unknown?: (string | { words: string; why?: string })[];
}

/** `rarec` of an answer. */
export interface Facts {
  items: ShownItem[];
  degraded: boolean;
  reason: string;
  timings_ms: Record<string, number>;
  session?: string | null;
  turn?: number | null;
  filters?: FilterFacts;
}

export interface Mention {
  id: string;
  title: string;
  sentiment: string;
  span: [number, number] | null;
  turn: number;
}

export interface TraceCandidate {
  id: string;
  title: string;
  retriever_rank: number;
  retriever_score: number;
  llm_rank: number | null;
  shown: boolean;
}

export interface Spend {
  calls?: number;
  tokens?: number;
  usd?: number | null;
}

export interface Trace {
  mentions?: Mention[];
  candidates?: TraceCandidate[];
  filters?: FilterFacts;
  timings_ms?: Record<string, number>;
  usage?: { calls?: number; prompt_tokens?: number; completion_tokens?: number };
  cost?: Spend | number | null;
  cached?: boolean;
  model?: string;
  bundle?: string;
  degraded?: boolean;
  reason?: string;
  report?: Record<string, number | boolean>;
}

export interface Service {
  model: string;
  items: number;
  example_messages: string[];
  vocabulary: {
    attributes: Record<string, string[]>;
    /** Attributes that name people. */
    people?: string[];
    year_min: number | null;
    year_max: number | null;
  };
  keys_needed: boolean;
  /** Of the catalogue; films have words of their own. */
  layout: string;
  /** Whether the admin page is for this visitor. */
  owner: boolean;
}

export interface SessionLine {
  id: string;
  created_at: string;
  used_at: string;
  turns: number;
  title: string;
}

export interface StoredTurn {
  number: number;
  role: "user" | "assistant";
  text: string;
  items?: { item: string; score: number; why: string; retriever_rank: number }[];
  filters?: FilterFacts;
  timings_ms?: Record<string, number>;
  degraded?: boolean;
  reason?: string;
}

export interface StoredEvent {
  turn: number;
  item: string;
  kind: string;
}

export interface SessionExport {
  turns: StoredTurn[];
  events: StoredEvent[];
}

export type Verdict = "like" | "refuse" | "seen";
