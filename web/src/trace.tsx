/** Why an answer is what it is. */
import { useEffect, useState } from "preact/hooks";
import { call, Failure } from "./api";
import { Dialog, dollars, milliseconds, Trouble } from "./common";
import { chipsOf, NONE } from "./filters";
import type { Facts, Spend, Trace, TraceCandidate } from "./types";

const STAGES: Record<string, string> = {
  words: "wishes, by the model", link: "finding items", embed: "reading", retrieve: "retrieving", llm: "model",
};

/** What the service calls the ranker that is no language model. */
const LOCAL = "local-ranker";

interface Place {
  session: string | null;
  facts: Facts;
}

export function TraceDialog({ session, facts, onClose }: Place & { onClose: () => void }) {
  const [trace, setTrace] = useState<Trace | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  useEffect(() => {
    if (!session || facts.turn == null) return setTrace(traceOf(facts));
    call<{ trace: Trace }>("GET", `/v1/sessions/${encodeURIComponent(session)}/turns/${facts.turn}`).then(
      (turn) => setTrace(turn.trace),
      (error) => (error instanceof Failure ? setFailure(error) : setTrace(traceOf(facts))),
    );
  }, []);
  return (
    <Dialog title="Why these?" class="drawer" onClose={onClose}>
      {failure && <Trouble failure={failure} />}
      {trace ? <TraceView trace={trace} /> : !failure && <p class="quiet">Looking it up …</p>}
    </Dialog>
  );
}

/** What an answer says of itself, where no trace is kept. */
export function traceOf(facts: Facts): Trace {
  const candidates = facts.items.map((item, place) => ({
    id: item.id,
    title: item.title,
    retriever_rank: item.retriever_rank,
    retriever_score: item.score,
    llm_rank: facts.degraded ? null : place + 1,
    shown: true,
  }));
  return {
    candidates: candidates.sort((a, b) => a.retriever_rank - b.retriever_rank),
    timings_ms: facts.timings_ms,
    degraded: facts.degraded,
    reason: facts.reason,
    ...(facts.filters ? { filters: facts.filters } : {}),
  };
}

export function TraceView({ trace }: { trace: Trace }) {
  const spend = spendOf(trace);
  const local = trace.model === LOCAL;
  return (
    <div class="trace">
      <p class="badges">
        <span class={`badge ${trace.degraded ? "warn" : "good"}`}>{trace.degraded ? "Degraded" : local ? "Ordered by the local ranker" : trace.model ? "Chosen by the model" : "Chosen"}</span>
        {trace.model && !local && <span class="badge">{trace.model}</span>}
        {trace.cached && <span class="badge">From memory</span>}
        {spend && <span class="badge">{spend}</span>}
        {trace.bundle && <span class="badge" title="Hash of the retriever's weights">{`retriever ${trace.bundle.slice(0, 8)}`}</span>}
      </p>
      {local && !trace.degraded && (
        <p class="quiet">A small ranker on this machine put the candidates in order; it is not a language model, and its words are templates.</p>
      )}
      {trace.degraded && (
        <p class="quiet">No language model took part{trace.reason ? `: ${trace.reason}` : ""}. The order is the retriever's.</p>
      )}
      <Mentions trace={trace} />
      <Wishes trace={trace} />
      <Timings timings={trace.timings_ms ?? {}} chooser={local ? "ranker" : "model"} />
      <Candidates candidates={trace.candidates ?? []} chooser={local ? "Ranker" : "Model"} />
    </div>
  );
}

function Mentions({ trace }: { trace: Trace }) {
  if (!trace.mentions) return null;
  return (
    <section>
      <h3>Found in what was said</h3>
      {trace.mentions.length ? (
        <ul class="marks">
          {trace.mentions.map((mention, number) => (
            <li key={number} class={`mark ${mention.sentiment}`}>
              {mention.title || mention.id} <small>{mention.sentiment}</small>
            </li>
          ))}
        </ul>
      ) : (
        <p class="quiet">No item of the catalogue was named.</p>
      )}
    </section>
  );
}

function Wishes({ trace }: { trace: Trace }) {
  const facts = trace.filters;
  if (!facts) return null;
  const given = chipsOf({ ...NONE, ...facts.given });
  const read = facts.read ?? [];
  const unknown = facts.unknown ?? [];
  if (!given.length && !read.length && !unknown.length) return null;
  return (
    <section>
      <h3>Held to</h3>
      <ul class="marks">
        {given.map((chip) => (
          <li key={chip.id} class="mark">
            {chip.label} <small>set by hand</small>
          </li>
        ))}
        {read.map((wish) => (
          <li key={wish.constraint} class="mark">
            {wish.hard === false ? `maybe ${wish.label}` : wish.label} <small>{`“${wish.words}”`}</small>
          </li>
        ))}
        {unknown.map((one, number) => (
          <li key={number} class="mark refused">
            {typeof one === "string" ? one : one.words} <small>not enforced</small>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Timings({ timings, chooser }: { timings: Record<string, number>; chooser: string }) {
  const total = timings["total"] ?? 0;
  const stages = Object.keys(STAGES).filter((name) => (timings[name] ?? 0) > 0).map((name) => ({ name, ms: timings[name]! }));
  if (!stages.length) return null;
  const sum = Math.max(total, stages.reduce((all, stage) => all + stage.ms, 0));
  let x = 0;
  return (
    <section>
      <h3>
        Time <small>{milliseconds(sum)} in all</small>
      </h3>
      <svg class="timing" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        {stages.map(({ name, ms }) => {
          const width = (ms / sum) * 100;
          const bar = <rect key={name} class={`stage-${name}`} x={x} y={0} width={Math.max(width - 0.3, 0.2)} height={6} />;
          x += width;
          return bar;
        })}
      </svg>
      <ul class="legend">
        {stages.map(({ name, ms }) => (
          <li key={name}>
            <i class={`dot stage-${name}`} /> {name === "llm" ? chooser : STAGES[name]} <b>{milliseconds(ms)}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Candidates({ candidates, chooser }: { candidates: TraceCandidate[]; chooser: string }) {
  if (!candidates.length) return null;
  const scores = candidates.map((one) => one.retriever_score);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return (
    <section>
      <h3>
        Candidates <small>{`${candidates.length} proposed by the retriever; the marked ones were shown`}</small>
      </h3>
      <table class="candidates">
        <thead>
          <tr>
            <th scope="col">#</th>
            <th scope="col">Item</th>
            <th scope="col">Retriever's score</th>
            <th scope="col">{`${chooser}'s place`}</th>
          </tr>
        </thead>
        <tbody>
          {candidates.map((one) => (
            <tr key={one.id} class={one.shown ? "chosen" : ""}>
              <td>{one.retriever_rank}</td>
              <th scope="row">
                {one.title}
                {one.shown && <span class="sr-only"> (shown)</span>}
              </th>
              <td>
                <svg class="score" viewBox="0 0 60 6" aria-hidden="true">
                  <rect class="track" width={60} height={6} rx={3} />
                  <rect class="fill" width={4 + (56 * (one.retriever_score - low)) / (high - low || 1)} height={6} rx={3} />
                </svg>
                {one.retriever_score.toFixed(2)}
              </td>
              <td>{one.llm_rank ?? "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function spendOf(trace: Trace): string {
  const spend: Spend = typeof trace.cost === "number" ? { usd: trace.cost } : (trace.cost ?? {});
  const tokens = spend.tokens || (trace.usage?.prompt_tokens ?? 0) + (trace.usage?.completion_tokens ?? 0);
  const parts = [];
  if (tokens) parts.push(`${tokens.toLocaleString("en")} tokens`);
  if (spend.usd) parts.push(dollars(spend.usd));
  return parts.join(" · ");
}

