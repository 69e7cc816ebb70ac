/** What the owner's part of the service sends. */
import type { Trace } from "./types";

export interface Spent {
  calls: number;
  tokens: number;
  usd: number;
}

export interface Day {
  day: string;
  turns: number;
  degraded: number;
  spend: Spent;
  likes: number;
  refuses: number;
}

export interface Overview {
  since: string;
  items: number;
  sessions: number;
  turns: number;
  degraded_share: number;
  latency_ms: { p50: number; p99: number } | null;
  spend: Spent;
  counts_dollars: boolean;
  likes: number;
  refuses: number;
  days: Day[];
}

export interface OwnedTurn {
  session: string;
  key: string;
  number: number;
  created: string;
  text: string;
  trace: Trace;
}

export interface Bundles {
  live: string;
  serving: string;
  before: string[];
  candidates: { bundle: string; weights: string; live: boolean }[];
  log: Record<string, unknown>[];
}
