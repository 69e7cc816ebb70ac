/** What both pages are made of. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Failure, storeKey, storedKey } from "./api";
import { blocksOf, type Span } from "./markdown";
import { coverOf, HEIGHT, WIDTH } from "./cover";

/** The art of a title. It says nothing that the text beside it does not, so it is hidden from screen readers. */
export function Cover({ title, size }: { title: string; size?: string }) {
  const art = coverOf(title);
  return (
    <svg class={`cover ${size ?? ""}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" focusable="false">
      <rect width={WIDTH} height={HEIGHT} fill={art.paper} />
      <svg y={art.artTop} width={WIDTH} height={art.artHeight} viewBox={`0 0 ${WIDTH} ${art.artHeight}`}>
        <rect width={WIDTH} height={art.artHeight} fill={art.ground} />
        {art.shapes.map(({ tag: Tag, attributes }, number) => (
          <Tag key={number} {...attributes} />
        ))}
      </svg>
      <g class="cover-title" fill={art.ink} font-size={art.fontSize}>
        {art.lines.map((line) => (
          <text key={line.y} x={14} y={line.y}>
            {line.text}
          </text>
        ))}
      </g>
    </svg>
  );
}

/** A reply, as text; see markdown.ts. */
export function Prose({ text }: { text: string }) {
  return (
    <div class="prose">
      {blocksOf(text).map((block, number) =>
        block.kind === "list" ? (
          <ul key={number}>
            {block.lines.map((line, place) => (
              <li key={place}>{line.map(span)}</li>
            ))}
          </ul>
        ) : (
          <p key={number}>{block.lines.flat().map(span)}</p>
        ),
      )}
    </div>
  );
}

function span(one: Span, number: number) {
  if (one.style === "bold") return <strong key={number}>{one.text}</strong>;
  return one.style === "italic" ? <em key={number}>{one.text}</em> : one.text;
}

const ICONS = {
  heart: "M12 20.5S3.5 15.6 3.5 9.6A4.6 4.6 0 0 1 12 7.2a4.6 4.6 0 0 1 8.5 2.4c0 6-8.5 10.9-8.5 10.9Z",
  no: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM6 6l12 12",
  seen: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M5.5 11.5 12 5l6.5 6.5",
  stop: "M7 7h10v10H7Z",
  close: "M6 6l12 12M18 6 6 18",
  filter: "M4 7h16M7 12h10M10 17h4",
  menu: "M4 7h16M4 12h16M4 17h16",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  bin: "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 12.5h9l1-12.5",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M20 14.2A8.2 8.2 0 0 1 9.8 4a8.2 8.2 0 1 0 10.2 10.2Z",
  spark: "M12 3.5 13.9 10l6.6 2-6.6 2L12 20.5 10.1 14l-6.6-2 6.6-2Z",
  again: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3M19.5 3.5v4h-4",
} as const;

export function Icon({ name }: { name: keyof typeof ICONS }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={ICONS[name]} fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

export function IconButton(props: { icon: keyof typeof ICONS; label: string; onClick: () => void; class?: string }) {
  return (
    <button type="button" class={`icon-button ${props.class ?? ""}`} aria-label={props.label} title={props.label} onClick={props.onClick}>
      <Icon name={props.icon} />
    </button>
  );
}

/** A dialog over the page. Escape, its button and a press beside it close it. */
export function Dialog(props: { title: string; class?: string; onClose: () => void; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = box.current;
    dialog?.showModal();
    // Closing gives the focus back; one that is closed already is left alone, for the person may have gone on.
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={box}
      class={props.class ?? ""}
      aria-label={props.title}
      onClose={props.onClose}
      onClick={(event) => event.target === box.current && box.current?.close()}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2>{props.title}</h2>
          <IconButton icon="close" label="Close" onClick={() => box.current?.close()} />
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

/** What went wrong, what to do, and the way to do it. */
export function Trouble({ failure, onRetry }: { failure: Failure; onRetry?: (() => void) | undefined }) {
  const [left, setLeft] = useState(Math.ceil(failure.retryAfter ?? 0));
  useEffect(() => setLeft(Math.ceil(failure.retryAfter ?? 0)), [failure]);
  useEffect(() => {
    if (left <= 0) return undefined;
    const timer = setTimeout(() => setLeft(left - 1), 1000);
    return () => clearTimeout(timer);
  }, [left]);
  return (
    <div class="trouble" role="alert">
      <strong>{failure.title}</strong>
      {failure.detail && <p>{failure.detail}</p>}
      {onRetry && (
        <button type="button" class="button" disabled={left > 0} onClick={onRetry}>
          <Icon name="again" /> {left > 0 ? `Try again in ${left} s` : "Try again"}
        </button>
      )}
    </div>
  );
}

/** Asks for the key, which stays in this tab. */
export function KeyForm({ wrong, onKey }: { wrong: boolean; onKey: () => void }) {
  const [key, setKey] = useState("");
  return (
    <form
      class="key-form"
      onSubmit={(event) => {
        event.preventDefault();
        storeKey(key.trim());
        onKey();
      }}
    >
      <h2>This service asks for a key</h2>
      <p>
        {wrong && storedKey() ? "The key was not accepted. " : ""}
        Whoever runs the service makes one with <code>rarec keys add NAME</code>. It is kept in this tab only, and forgotten when
        the tab is closed.
      </p>
      <label>
        Key
        <input type="password" autocomplete="off" required value={key} onInput={(event) => setKey(event.currentTarget.value)} />
      </label>
      <button type="submit" class="button primary">
        Use this key
      </button>
    </form>
  );
}

const THEME = "rarec.theme";

/** The theme of the system until it is switched by hand. */
export function ThemeButton() {
  const [dark, setDark] = useState(isDark);
  useEffect(() => {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setDark(isDark());
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, []);
  const change = () => {
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset["theme"] = theme;
    localStorage.setItem(THEME, theme);
    setDark(!dark);
  };
  return <IconButton icon={dark ? "sun" : "moon"} label={dark ? "Light theme" : "Dark theme"} onClick={change} />;
}

/** Takes over the theme that was chosen before. */
export function applyTheme(): void {
  const theme = localStorage.getItem(THEME);
  if (theme === "dark" || theme === "light") document.documentElement.dataset["theme"] = theme;
}

function isDark(): boolean {
  const theme = document.documentElement.dataset["theme"];
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Saves a document as a file, without leaving the page. */
export function download(name: string, document_: unknown): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(document_, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** "early_effects" -> "Early effects". */
export function nameOf(attribute: string): string {
  const words = attribute.replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function milliseconds(ms: number): string {
  return ms >= 10_000 ? `${(ms / 1000).toFixed(0)} s` : ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

export function dollars(usd: number): string {
  if (usd === 0) return "$0";
  return usd >= 1 ? `$${usd.toFixed(2)}` : `$${usd.toPrecision(2)}`;
}
