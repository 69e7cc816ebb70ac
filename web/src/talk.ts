/** One conversation as the page holds it, and what it asks of the service. Knows nothing of how it is shown. */
import { call, converse, Failure, newId } from "./api";
import { documentOf, NONE } from "./filters";
import type { Facts, Filters, Item, ReadConstraint, SessionExport, ShownItem, StoredTurn, Verdict } from "./types";

export const SHOWN = 6;
/** What is asked when only verdicts or filters have changed. */
export const UPDATE = "Show me an updated list.";

export interface UserMessage {
  kind: "user";
  text: string;
}

export interface AnswerMessage {
  kind: "answer";
  text: string;
  state: "waiting" | "done" | "stopped" | "failed";
  facts: Facts | null;
  failure: Failure | null;
}

export type Message = UserMessage | AnswerMessage;

interface Felt {
  verdict: Verdict;
  title: string;
  /** The service knows it; else the page says it itself with the next question. */
  stored: boolean;
}

export class Talk {
  messages: Message[] = [];
  filters: Filters = NONE;
  read: ReadConstraint[] = [];
  unknown: string[] = [];
  session: string | null = null;
  /** Verdicts and filters that no answer has heeded yet. */
  changes = 0;
  readonly items = new Map<string, Item>();
  readonly felt = new Map<string, Felt>();
  private readonly dropped = new Set<string>();
  private abort: AbortController | null = null;

  /**
   * @param changed is called after each change.
   * @param keeps whether the service may keep conversations; it turns out when the first session is asked for.
   */
  constructor(
    readonly model: string,
    private readonly changed: () => void,
    public keeps = true,
  ) {}

  get busy(): boolean {
    return this.abort !== null;
  }

  verdictOf(id: string): Verdict | null {
    return this.felt.get(id)?.verdict ?? null;
  }

  /** Ask something. What goes wrong stands in the answer. */
  async ask(text: string): Promise<void> {
    if (this.busy || !text.trim()) return;
    this.messages = [...this.messages, { kind: "user", text: text.trim() }];
    await this.answer();
  }

  /** Ask the last question again. */
  async retry(): Promise<void> {
    const last = this.messages.at(-1);
    if (this.busy || last?.kind !== "answer") return;
    this.messages = this.messages.slice(0, -1);
    await this.answer();
  }

  stop(): void {
    this.abort?.abort();
  }

  setFilters(filters: Filters): void {
    this.filters = filters;
    this.touched();
  }

  /** Take back a wish that was read from the words. */
  drop(wish: ReadConstraint): void {
    this.dropped.add(wish.constraint);
    this.read = this.read.filter((one) => one.constraint !== wish.constraint);
    this.touched();
  }

  /** Say what one thinks of a shown item; the same again takes it back. */
  async feel(item: ShownItem, turn: number | null, verdict: Verdict): Promise<Failure | null> {
    const before = this.felt.get(item.id);
    const off = before?.verdict === verdict;
    const stored = this.session !== null && turn !== null;
    if (off) this.felt.delete(item.id);
    else this.felt.set(item.id, { verdict, title: item.title, stored });
    this.touched();
    if (!stored) return null;
    try {
      await this.report(item.id, turn, off ? "clear" : verdict);
      return null;
    } catch (error) {
      if (before) this.felt.set(item.id, before);
      else this.felt.delete(item.id);
      this.changed();
      return failureOf(error);
    }
  }

  /** Tell the service that somebody looked closer; nothing is waited for. */
  clicked(item: string, turn: number | null): void {
    if (this.session !== null && turn !== null) this.report(item, turn, "click").catch(() => undefined);
  }

  /** Show a conversation that the service has kept. Throws Failure. */
  async open(session: string): Promise<void> {
    const kept = await call<SessionExport>("GET", `/v1/sessions/${encodeURIComponent(session)}`);
    const ids = kept.turns.flatMap((turn) => (turn.items ?? []).map((shown) => shown.item));
    await this.learn(ids);
    this.session = session;
    this.messages = kept.turns.map((turn) => this.restored(turn));
    const last = kept.turns.filter((turn) => turn.role === "assistant").at(-1)?.filters;
    this.filters = { ...NONE, ...last?.given, exclude: [] };
    this.read = last?.read ?? [];
    for (const { item, kind } of kept.events) {
      if (kind === "clear") this.felt.delete(item);
      else if (kind === "like" || kind === "refuse" || kind === "seen") {
        this.felt.set(item, { verdict: kind, title: this.items.get(item)?.title ?? item, stored: true });
      }
    }
    this.changed();
  }

  /** What can be saved where the service keeps nothing. */
  document(): unknown {
    const verdicts = [...this.felt].map(([id, felt]) => ({ id, title: felt.title, verdict: felt.verdict }));
    return { messages: this.messages.filter((m) => m.kind === "user" || m.facts), filters: documentOf(this.filters), verdicts };
  }

  private async answer(): Promise<void> {
    const abort = (this.abort = new AbortController());
    const mine: AnswerMessage = { kind: "answer", text: "", state: "waiting", facts: null, failure: null };
    const rest = this.messages;
    const show = () => {
      this.messages = [...rest, { ...mine }];
      this.changed();
    };
    show();
    try {
      await this.begin();
      const body = this.request();
      mine.facts = await converse(
        body,
        (piece) => {
          mine.text += piece;
          show();
        },
        abort.signal,
      );
      this.take(mine.facts);
      mine.state = "done";
      await this.learn(mine.facts.items.map((item) => item.id)).catch(() => undefined);
    } catch (error) {
      if (abort.signal.aborted) mine.state = "stopped";
      else {
        mine.state = "failed";
        mine.failure = failureOf(error);
        if (mine.failure.status === 404 && this.session) this.session = null;
      }
    } finally {
      this.abort = null;
      show();
    }
  }

  /** A session to begin with, if the service keeps any. */
  private async begin(): Promise<void> {
    if (this.session !== null || !this.keeps || this.messages.some((m) => m.kind === "answer" && m.facts)) return;
    try {
      this.session = (await call<{ id: string }>("POST", "/v1/sessions", {})).id;
    } catch (error) {
      const { status } = failureOf(error);
      if (status === 0 || status === 401 || status === 429) throw error;
      this.keeps = status !== 404 && status !== 405; // else only this conversation goes without
    }
  }

  private request(): Record<string, unknown> {
    const out = [...this.felt].filter(([, felt]) => !felt.stored && felt.verdict !== "like").map(([id]) => id);
    const rarec: Record<string, unknown> = { n: SHOWN, filters: documentOf(this.filters, out) };
    if (this.session) rarec["session"] = this.session;
    if (this.dropped.size) rarec["without"] = [...this.dropped];
    return { model: this.model, messages: this.said(), rarec };
  }

  /** The messages to send: the last one of a session, else all of them, with verdicts in words. */
  private said(): { role: string; content: string }[] {
    const asked = this.messages.filter((m) => m.kind === "user" || m.facts !== null || m.text);
    const sent = asked.map((m) => ({ role: m.kind === "user" ? "user" : "assistant", content: m.text || "…" }));
    if (this.session) return sent.slice(-1);
    const words: string[] = [];
    for (const felt of this.felt.values()) {
      if (felt.verdict === "like") words.push(`I liked ${felt.title}.`);
      if (felt.verdict === "refuse") words.push(`I did not like ${felt.title}.`);
    }
    if (words.length) sent.splice(-1, 0, { role: "user", content: words.join("\n") });
    return sent;
  }

  private take(facts: Facts): void {
    this.changes = 0;
    this.read = facts.filters?.read ?? [];
    this.unknown = (facts.filters?.unknown ?? []).map((one) => (typeof one === "string" ? one : one.words));
  }

  private async learn(ids: string[]): Promise<void> {
    const missing = [...new Set(ids)].filter((id) => !this.items.has(id));
    for (let at = 0; at < missing.length; at += 50) {
      const query = missing.slice(at, at + 50).map((id) => `id=${encodeURIComponent(id)}`);
      const found = await call<{ items: Item[] }>("GET", `/v1/items?${query.join("&")}`);
      for (const item of found.items) this.items.set(item.id, item);
    }
  }

  private restored(turn: StoredTurn): Message {
    if (turn.role === "user") return { kind: "user", text: turn.text };
    const items = (turn.items ?? []).map((shown) => {
      const item = this.items.get(shown.item);
      const { score, why, retriever_rank } = shown;
      return { id: shown.item, title: item?.title ?? shown.item, year: item?.year ?? null, score, why, retriever_rank };
    });
    const facts: Facts = {
      items,
      degraded: turn.degraded ?? false,
      reason: turn.reason ?? "",
      timings_ms: turn.timings_ms ?? {},
      turn: turn.number,
      ...(turn.filters ? { filters: turn.filters } : {}),
    };
    return { kind: "answer", text: turn.text, state: "done", facts, failure: null };
  }

  private report(item: string, turn: number, kind: string): Promise<unknown> {
    const event = { id: newId(), session: this.session, turn, item, kind };
    return call("POST", "/v1/feedback", { events: [event] });
  }

  private touched(): void {
    if (this.messages.some((m) => m.kind === "answer" && m.facts)) this.changes += 1;
    this.changed();
  }
}

function failureOf(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure(0, "Something went wrong in this page", String(error));
}
