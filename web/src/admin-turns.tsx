/** The last answers, each with its trace. */
import { useEffect, useState } from "preact/hooks";
import type { OwnedTurn } from "./admin-types";
import { call, Failure } from "./api";
import { Dialog, Icon, milliseconds, Trouble } from "./common";
import { TraceView } from "./trace";

export function TurnsPart() {
  const [turns, setTurns] = useState<OwnedTurn[] | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [open, setOpen] = useState<OwnedTurn | null>(null);
  const look = () =>
    void call<{ turns: OwnedTurn[] }>("GET", "/v1/admin/turns?limit=50").then(
      (found) => (setTurns(found.turns), setFailure(null)),
      (error) => error instanceof Failure && setFailure(error),
    );
  useEffect(look, []);
  return (
    <>
      <div class="tools">
        <p class="quiet">The last fifty answers, the newest first.</p>
        <span class="space" />
        <button type="button" class="button" onClick={look}>
          <Icon name="again" /> Look again
        </button>
      </div>
      {failure && <Trouble failure={failure} onRetry={look} />}
      {turns && turns.length === 0 && <p class="quiet">Nobody has asked anything yet.</p>}
      {turns && turns.length > 0 && (
        <div class="panel">
          <table>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Reply</th>
                <th scope="col">Key</th>
                <th scope="col" class="right">
                  Time
                </th>
                <th scope="col">State</th>
              </tr>
            </thead>
            <tbody>
              {turns.map((turn) => (
                <tr key={`${turn.session}:${turn.number}`}>
                  <td class="when">{new Date(turn.created).toLocaleString([], { dateStyle: "short", timeStyle: "short" })}</td>
                  <th scope="row">
                    <button type="button" class="row-title" onClick={() => setOpen(turn)}>
                      {turn.text.length > 110 ? `${turn.text.slice(0, 110)}…` : turn.text || "(no words)"}
                    </button>
                  </th>
                  <td>{turn.key}</td>
                  <td class="right">{milliseconds(turn.trace.timings_ms?.["total"] ?? 0)}</td>
                  <td>
                    <span class={`badge ${turn.trace.degraded ? "warn" : "good"}`}>{turn.trace.degraded ? "degraded" : "ok"}</span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {open && (
        <Dialog title={`Turn ${open.number}`} class="drawer" onClose={() => setOpen(null)}>
          <p>{open.text}</p>
          <TraceView trace={open.trace} />
        </Dialog>
      )}
    </>
  );
}
