/** Which retriever answers, and the switch to another one. */
import { useEffect, useState } from "preact/hooks";
import type { Bundles } from "./admin-types";
import { call, Failure } from "./api";
import { Dialog, Icon, Trouble } from "./common";

interface Wish {
  title: string;
  words: string;
  path: string;
  body: unknown;
}

export function BundlesPart() {
  const [bundles, setBundles] = useState<Bundles | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [wish, setWish] = useState<Wish | null>(null);
  const [said, setSaid] = useState("");
  const look = () =>
    call<Bundles>("GET", "/v1/admin/bundles").then(
      (found) => (setBundles(found), setFailure(null)),
      (error) => error instanceof Failure && setFailure(error),
    );
  useEffect(() => void look(), []);
  const act = async (wanted: Wish) => {
    setWish(null);
    try {
      const { was, live } = await call<{ was: string; live: string }>("POST", wanted.path, wanted.body);
      setSaid(`${live} is live, ${was} was before. Answers that are being written end with the old one.`);
    } catch (error) {
      if (error instanceof Failure) setSaid(`${error.title}. ${error.detail}`);
    }
    await look();
  };
  if (failure) return <Trouble failure={failure} onRetry={() => void look()} />;
  if (!bundles) return <p class="quiet">Looking …</p>;
  const before = bundles.before.at(-1);
  return (
    <>
      <div class="bundle-live">
        <span>Live</span>
        <b>{bundles.live}</b>
        <small>{bundles.serving === bundles.live || !bundles.serving ? "It answers." : `${bundles.serving} still answers; it follows within moments.`}</small>
      </div>
      <p role="status" class={said ? "note" : "sr-only"}>
        {said}
      </p>
      <h2 class="part">In the store</h2>
      <div class="panel">
        <table>
          <thead>
            <tr>
              <th scope="col">Bundle</th>
              <th scope="col">Weights</th>
              <th scope="col" class="right">
                Switch
              </th>
            </tr>
          </thead>
          <tbody>
            {bundles.candidates.map((one) => (
              <tr key={one.bundle}>
                <th scope="row">{one.bundle}</th>
                <td>{one.weights ? <code>{one.weights.slice(0, 12)}</code> : "cannot be read"}</td>
                <td class="right">
                  {one.live ? (
                    <span class="badge good">live</span>
                  ) : (
                    <button
                      type="button"
                      class="button small"
                      disabled={!one.weights}
                      onClick={() =>
                        setWish({
                          title: "Make it live?",
                          words: `${one.bundle} will answer from the next turn on, without being measured here. rarec promote measures it against the live one first.`,
                          path: "/v1/admin/promote",
                          body: { bundle: one.bundle },
                        })
                      }
                    >
                      Promote
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="under">
        <button
          type="button"
          class="button"
          disabled={!before}
          onClick={() =>
            setWish({ title: "Roll back?", words: `${before} will answer again from the next turn on.`, path: "/v1/admin/rollback", body: undefined })
          }
        >
          <Icon name="again" /> Roll back{before ? ` to ${before}` : ""}
        </button>
      </p>
      <h2 class="part">How that came</h2>
      {bundles.log.length === 0 ? <p class="quiet">Nothing has been promoted yet.</p> : <Log rows={bundles.log} />}
      {wish && (
        <Dialog title={wish.title} onClose={() => setWish(null)}>
          <p>{wish.words}</p>
          <div class="dialog-foot">
            <button type="button" class="button" onClick={() => setWish(null)}>
              Leave it
            </button>
            <button type="button" class="button primary" onClick={() => void act(wish)}>
              {wish.title.replace("?", "")}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function Log({ rows }: { rows: Bundles["log"] }) {
  return (
    <div class="panel">
      <table>
        <tbody>
          {rows.map((row, number) => (
            <tr key={number}>
              {Object.entries(row)
                .filter(([, value]) => typeof value === "string" || typeof value === "number" || typeof value === "boolean")
                .slice(0, 5)
                .map(([name, value]) => (
                  <td key={name}>
                    <small>{name}</small> {String(value)}
                  </td>
                ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
