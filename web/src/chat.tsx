/** The page at /: a conversation. */
import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { call, Failure, storedKey } from "./api";
import { Card, Details } from "./card";
import { applyTheme, Cover, Dialog, download, Icon, IconButton, KeyForm, Prose, ThemeButton, Trouble } from "./common";
import { coverOf } from "./cover";
import { Chips, FilterDialog } from "./filterbar";
import { loadService } from "./service";
import { Sidebar } from "./sidebar";
import { type AnswerMessage, Talk, UPDATE } from "./talk";
import { TraceDialog } from "./trace";
import type { Facts, Item, Service, SessionLine, ShownItem } from "./types";
import { greeting, placeholder, seenLabel } from "./words";

function App() {
  const [service, setService] = useState<Service | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const load = () => {
    setFailure(null);
    loadService().then(setService, setFailure);
  };
  useEffect(load, []);
  useEffect(() => {
    if (!failure || failure.status !== 503) return undefined;
    const timer = setTimeout(load, 2000); // the store is being opened
    return () => clearTimeout(timer);
  }, [failure]);
  if (failure?.status === 401 || failure?.status === 403) {
    return (
      <main class="alone">
        <KeyForm wrong={storedKey() !== ""} onKey={load} />
      </main>
    );
  }
  if (failure) {
    return (
      <main class="alone">
        <Trouble failure={failure} onRetry={load} />
      </main>
    );
  }
  return service ? <Chat service={service} onKey={load} /> : <main class="alone quiet">Opening …</main>;
}

function Chat({ service, onKey }: { service: Service; onKey: () => void }) {
  const [, setVersion] = useState(0);
  const again = () => setVersion((version) => version + 1);
  const [talk, setTalk] = useState(() => new Talk(service.model, again));
  const [sessions, setSessions] = useState<SessionLine[] | null>([]); // null where none are kept
  const [traced, setTraced] = useState<Facts | null>(null);
  const [looked, setLooked] = useState<ShownItem | null>(null);
  const [filtering, setFiltering] = useState(false);
  const [drawer, setDrawer] = useState(false);
  const [said, setSaid] = useState("");
  const kinds = useMemo(() => Object.keys(service.vocabulary.attributes), [service]);
  const { people } = service.vocabulary;
  const field = useRef<HTMLTextAreaElement>(null);

  const refresh = () =>
    call<{ sessions: SessionLine[] }>("GET", "/v1/sessions?limit=50").then(
      (found) => setSessions(found.sessions),
      () => setSessions(null),
    );
  useEffect(() => void refresh(), []);
  const count = talk.messages.length;
  useEffect(() => {
    if (!count) return;
    const asked = [...document.querySelectorAll(".messages > .mine")].at(-1);
    asked?.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
  }, [count, talk.busy]);

  const ask = async (text: string) => {
    setSaid("Looking for something …");
    await talk.ask(text);
    setSaid(announced(talk.messages.at(-1) as AnswerMessage));
    void refresh();
  };
  const restart = () => {
    talk.stop();
    setTalk(new Talk(service.model, again, talk.keeps));
    setDrawer(false);
    field.current?.focus();
  };
  const open = (id: string) => {
    talk.stop();
    const other = new Talk(service.model, again);
    setDrawer(false);
    other.open(id).then(
      () => setTalk(other),
      (error) => setSaid(error instanceof Failure ? error.title : ""),
    );
  };
  const save = async (id: string | null) => {
    const kept = id ? await call<unknown>("GET", `/v1/sessions/${encodeURIComponent(id)}`).catch(() => null) : null;
    download(`conversation-${new Date().toISOString().slice(0, 10)}.json`, kept ?? talk.document());
  };
  const forget = async (id: string | null) => {
    if (!confirm("Delete this conversation? The service forgets it.")) return;
    if (id) await call("DELETE", `/v1/sessions/${encodeURIComponent(id)}`).catch(() => undefined);
    if (id === talk.session) restart();
    setSaid("The conversation is deleted.");
    void refresh();
  };

  const sidebar = <Sidebar sessions={sessions} current={talk.session} onNew={restart} onOpen={open} onDelete={(id) => void forget(id)} owner={service.owner} />;
  return (
    <div class="frame">
      <a class="skip" href="#say">
        Skip to the field to type in
      </a>
      <aside class="sidebar" aria-label="Conversations">
        {sidebar}
      </aside>
      <div class="column">
        <header class="bar">
          <IconButton class="only-narrow" icon="menu" label="Conversations" onClick={() => setDrawer(true)} />
          <a class="brand only-narrow" href="/">
            rarec
          </a>
          <span class="space" />
          {count > 0 && (
            <>
              <IconButton icon="plus" label="New conversation" onClick={restart} />
              <IconButton icon="download" label="Export as JSON" onClick={() => void save(talk.session)} />
              <IconButton icon="bin" label="Delete this conversation" onClick={() => void forget(talk.session)} />
            </>
          )}
          <ThemeButton />
        </header>
        <main class={count ? "talk" : "talk empty"}>
          {count > 0 && <h1 class="sr-only">Conversation</h1>}
          {count === 0 && <Welcome service={service} onAsk={(text) => void ask(text)} />}
          <div class="messages">
            {talk.messages.map((message, number) =>
              message.kind === "user" ? (
                <p key={number} class="mine">
                  <span class="sr-only">You: </span>
                  {message.text}
                </p>
              ) : (
                <Answer
                  key={number}
                  answer={message}
                  talk={talk}
                  kinds={kinds}
                  people={people}
                  layout={service.layout}
                  last={number === count - 1}
                  onTrace={setTraced}
                  onLook={(item) => {
                    talk.clicked(item.id, message.facts?.turn ?? null);
                    setLooked(item);
                  }}
                  onSay={setSaid}
                  onKey={onKey}
                  onRetry={() => void talk.retry().then(refresh)}
                />
              ),
            )}
          </div>
        </main>
        <footer class="composer">
          <Chips talk={talk} />
          {talk.changes > 0 && !talk.busy && (
            <p class="changes">
              <span>{talk.changes === 1 ? "One change" : `${talk.changes} changes`} since the last list.</span>
              <button type="button" class="button small" onClick={() => void ask(UPDATE)}>
                <Icon name="again" /> Update the list
              </button>
            </p>
          )}
          <Field
            field={field}
            hint={placeholder(service)}
            busy={talk.busy}
            onAsk={(text) => void ask(text)}
            onStop={() => talk.stop()}
            onFilter={() => setFiltering(true)}
          />
        </footer>
      </div>
      <p class="sr-only" role="status" aria-live="polite">
        {said}
      </p>
      {traced && <TraceDialog session={talk.session} facts={traced} onClose={() => setTraced(null)} />}
      {looked && <Details shown={looked} item={talk.items.get(looked.id)} onClose={() => setLooked(null)} />}
      {filtering && <FilterDialog talk={talk} vocabulary={service.vocabulary} onClose={() => setFiltering(false)} />}
      {drawer && (
        <Dialog title="Conversations" class="drawer left" onClose={() => setDrawer(false)}>
          {sidebar}
        </Dialog>
      )}
    </div>
  );
}

function Welcome({ service, onAsk }: { service: Service; onAsk: (text: string) => void }) {
  const [items, setItems] = useState<Item[]>([]);
  useEffect(() => {
    call<{ items: Item[] }>("GET", "/v1/items?limit=400").then(
      ({ items: found }) => setItems(displayed(found)),
      () => undefined,
    );
  }, []);
  if (service.items === 0) {
    return (
      <section class="welcome">
        <h1>The catalogue is empty</h1>
        <p class="lead">
          {service.owner ? (
            <>
              Bring items in with <code>rarec import items.csv</code>, or add the first one in <a href="/admin">the admin page</a>.
              They can be recommended at once.
            </>
          ) : (
            "There is nothing to recommend yet."
          )}
        </p>
      </section>
    );
  }
  return (
    <section class="welcome">
      <div class="fan" aria-hidden="true">
        {items.map((item, number) => (
          <div key={item.id} class={`fan-${number}`}>
            <Cover title={item.title} />
          </div>
        ))}
      </div>
      <h1>{greeting(service.layout)}</h1>
      <p class="lead">
        {`Say what you liked, what you would rather not have, or how it should feel. Everything suggested is one of the ${service.items.toLocaleString("en")} items of this catalogue.`}
      </p>
      <ul class="starters">
        {service.example_messages.slice(0, 4).map((text) => (
          <li key={text}>
            <button type="button" onClick={() => onAsk(text)}>
              <Icon name="spark" />
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface AnswerProps {
  answer: AnswerMessage;
  talk: Talk;
  kinds: string[];
  people: string[] | undefined;
  layout: string;
  last: boolean;
  onTrace: (facts: Facts) => void;
  onLook: (item: ShownItem) => void;
  onSay: (text: string) => void;
  onKey: () => void;
  onRetry: () => void;
}

function Answer({ answer, talk, kinds, people, layout, last, onTrace, onLook, onSay, onKey, onRetry }: AnswerProps) {
  const { facts, failure, state } = answer;
  if (failure?.status === 401 || failure?.status === 403) return <KeyForm wrong={storedKey() !== ""} onKey={() => (onKey(), onRetry())} />;
  return (
    <article class={`answer ${state}`} aria-label="Answer" aria-busy={state === "waiting"}>
      {answer.text && <Prose text={answer.text} />}
      {state === "waiting" && (
        <p class="waiting">
          <i />
          <i />
          <i />
          <span class="sr-only">The answer is being written</span>
        </p>
      )}
      {state === "stopped" && <p class="quiet">Stopped.</p>}
      {failure && <Trouble failure={failure} onRetry={last ? onRetry : undefined} />}
      {facts?.degraded && (
        <p class="note warn">
          {`The language model did not take part${facts.reason ? ` (${facts.reason})` : ""}. These come straight from the retriever.`}
        </p>
      )}
      {facts && facts.items.length === 0 && !answer.text && <p class="note">Nothing in the catalogue passes all the filters. Remove one below.</p>}
      {facts && facts.items.length > 0 && (
        <ul class="cards" aria-label="Suggestions">
          {facts.items.map((shown) => (
            <Card
              key={shown.id}
              shown={shown}
              item={talk.items.get(shown.id)}
              kinds={kinds}
              people={people}
              layout={layout}
              verdict={talk.verdictOf(shown.id)}
              onOpen={() => onLook(shown)}
              onFollow={() => talk.clicked(shown.id, facts.turn ?? null)}
              onVerdict={(verdict) =>
                void talk.feel(shown, facts.turn ?? null, verdict).then((problem) => onSay(problem ? `That was not kept: ${problem.title}` : felt(talk, shown, layout)))
              }
            />
          ))}
        </ul>
      )}
      {facts && (
        <p class="under">
          <button type="button" class="button quiet-button" onClick={() => onTrace(facts)}>
            Why these?
          </button>
        </p>
      )}
    </article>
  );
}

interface FieldProps {
  field: { current: HTMLTextAreaElement | null };
  hint: string;
  busy: boolean;
  onAsk: (text: string) => void;
  onStop: () => void;
  onFilter: () => void;
}

function Field({ field, hint, busy, onAsk, onStop, onFilter }: FieldProps) {
  const [text, setText] = useState("");
  const send = () => {
    if (busy || !text.trim()) return;
    onAsk(text);
    setText("");
  };
  useEffect(() => {
    const box = field.current;
    if (!box) return;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, 180)}px`;
  }, [text]);
  return (
    <form
      class="field"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <IconButton icon="filter" label="Filters" onClick={onFilter} />
      <textarea
        id="say"
        ref={field}
        rows={1}
        maxLength={4000}
        aria-label="What are you looking for?"
        placeholder={hint}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            send();
          }
        }}
      />
      {busy ? (
        <IconButton class="send" icon="stop" label="Stop" onClick={onStop} />
      ) : (
        <button type="submit" class="icon-button send" aria-label="Send" title="Send" disabled={!text.trim()}>
          <Icon name="send" />
        </button>
      )}
    </form>
  );
}

/** Seven of the best known, no two of the same colour. */
function displayed(found: Item[]): Item[] {
  const known = [...found].sort((a, b) => b.popularity - a.popularity).slice(0, 80);
  const colours = new Set<string>();
  return known.filter(({ title }) => !colours.has(coverOf(title).ground) && colours.add(coverOf(title).ground)).slice(0, 7);
}

function announced(answer: AnswerMessage): string {
  if (answer.failure) return "";
  const titles = answer.facts?.items.map((item) => item.title) ?? [];
  return titles.length ? `${answer.text} ${titles.length} suggestions: ${titles.join(", ")}` : answer.text;
}

function felt(talk: Talk, shown: ShownItem, layout: string): string {
  const words = { like: "liked", refuse: "not for you", seen: seenLabel(layout).said };
  const verdict = talk.verdictOf(shown.id);
  return verdict ? `${shown.title}: ${words[verdict]}. The next list heeds it.` : `${shown.title}: taken back.`;
}

function calm(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

applyTheme();
render(<App />, document.getElementById("app")!);
