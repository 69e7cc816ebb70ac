/** The page at /admin, for the owner. */
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { BundlesPart } from "./admin-bundles";
import { ItemsPart } from "./admin-items";
import { OverviewPart } from "./admin-overview";
import { TurnsPart } from "./admin-turns";
import { call, Failure, storedKey } from "./api";
import { applyTheme, KeyForm, ThemeButton, Trouble } from "./common";

const PARTS = { overview: "Overview", catalogue: "Catalogue", turns: "Turns", bundles: "Bundles" } as const;
type Part = keyof typeof PARTS;

function App() {
  const [failure, setFailure] = useState<Failure | null>(null);
  const [ready, setReady] = useState(false);
  const load = () => {
    call("GET", "/v1/admin/overview?days=1").then(
      () => (setReady(true), setFailure(null)),
      (error) => error instanceof Failure && (setReady(false), setFailure(error)),
    );
  };
  useEffect(load, []);
  return (
    <div class="admin">
      <header class="admin-bar">
        <a class="brand" href="/">
          rarec
        </a>
        <span class="quiet">admin</span>
        <span class="space" />
        <a href="/">Chat</a>
        <ThemeButton />
      </header>
      <main>
        <h1 class="sr-only">Admin</h1>
        {(failure?.status === 401 || failure?.status === 403) && (
          <>
            <KeyForm wrong={storedKey() !== ""} onKey={load} />
            {failure.status === 403 && <p class="note warn">{failure.detail}</p>}
          </>
        )}
        {failure && failure.status !== 401 && failure.status !== 403 && <Trouble failure={failure} onRetry={load} />}
        {ready && <Parts />}
      </main>
    </div>
  );
}

function Parts() {
  const [part, setPart] = useState<Part>(partOf(location.hash));
  const names = Object.keys(PARTS) as Part[];
  const go = (name: Part) => {
    history.replaceState(null, "", `#${name}`);
    setPart(name);
  };
  const step = (by: number) => {
    const next = names[(names.indexOf(part) + by + names.length) % names.length]!;
    go(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <div
        class="tabs"
        role="tablist"
        aria-label="Parts"
        onKeyDown={(event) => {
          if (event.key === "ArrowRight") step(1);
          if (event.key === "ArrowLeft") step(-1);
        }}
      >
        {names.map((name) => (
          <button
            key={name}
            id={`tab-${name}`}
            type="button"
            role="tab"
            aria-selected={part === name}
            aria-controls="part"
            tabIndex={part === name ? 0 : -1}
            onClick={() => go(name)}
          >
            {PARTS[name]}
          </button>
        ))}
      </div>
      <div id="part" role="tabpanel" aria-labelledby={`tab-${part}`}>
        {part === "overview" && <OverviewPart />}
        {part === "catalogue" && <ItemsPart />}
        {part === "turns" && <TurnsPart />}
        {part === "bundles" && <BundlesPart />}
      </div>
    </>
  );
}

function partOf(hash: string): Part {
  const name = hash.slice(1);
  return name in PARTS ? (name as Part) : "overview";
}

applyTheme();
render(<App />, document.getElementById("app")!);
