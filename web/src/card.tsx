/** A recommended item, and all that is known of it. */
import { Cover, Dialog, Icon, nameOf } from "./common";
import type { Item, ShownItem, Verdict } from "./types";
import { linkOf, seenLabel } from "./words";

const VERDICTS: { verdict: Verdict; icon: "heart" | "no" | "seen"; label: string }[] = [
  { verdict: "like", icon: "heart", label: "Like" },
  { verdict: "refuse", icon: "no", label: "Not for me" },
  { verdict: "seen", icon: "seen", label: "" },
];

interface CardProps {
  shown: ShownItem;
  item: Item | undefined;
  /** Attributes to filter by, the first one is shown as tags. */
  kinds: string[];
  /** Attributes that name people; undefined where the service does not say. */
  people: string[] | undefined;
  /** Of the catalogue. */
  layout: string;
  verdict: Verdict | null;
  onVerdict: (verdict: Verdict) => void;
  onOpen: () => void;
  /** Its link was followed. */
  onFollow: () => void;
}

export function Card({ shown, item, kinds, people: named, layout, verdict, onVerdict, onOpen, onFollow }: CardProps) {
  const tags = tagsOf(item, kinds);
  const people = peopleOf(item, kinds, named);
  const link = linkOf(item);
  // Where the title leads elsewhere the cover opens the details, so it has to be reached by keyboard.
  const cover = link ? { "aria-label": `Details of ${shown.title}` } : { tabIndex: -1, "aria-hidden": true };
  return (
    <li class={`card ${verdict ?? ""}`}>
      <button type="button" class="card-cover" {...cover} onClick={onOpen}>
        <Cover title={shown.title} />
      </button>
      <div class="card-text">
        <h2>
          {link ? (
            <a class="card-title" href={link} target="_blank" rel="noopener noreferrer" onClick={onFollow}>
              {shown.title}
            </a>
          ) : (
            <button type="button" class="card-title" onClick={onOpen}>
              {shown.title}
            </button>
          )}
        </h2>
        <p class="card-facts">
          {[shown.year, ...tags].filter(Boolean).map((fact) => (
            <span key={fact}>{fact}</span>
          ))}
        </p>
        {people && <p class="card-people">{people}</p>}
        {shown.why && <p class="card-why">{shown.why}</p>}
      </div>
        <div class="verdicts" role="group" aria-label={`What you think of ${shown.title}`}>
          {VERDICTS.map(({ verdict: one, icon, label }) => (
            <button
              key={one}
              type="button"
              class={`verdict ${one}`}
              aria-pressed={verdict === one}
              onClick={() => onVerdict(one)}
            >
              <Icon name={icon} />
              <span>{label || seenLabel(layout).button}</span>
            </button>
          ))}
        </div>
    </li>
  );
}

export function Details({ shown, item, onClose }: { shown: ShownItem; item: Item | undefined; onClose: () => void }) {
  const link = linkOf(item);
  return (
    <Dialog title={shown.title} class="details" onClose={onClose}>
      <div class="details-body">
        <Cover title={shown.title} />
        <div>
          {shown.year !== null && <p class="details-year">{shown.year}</p>}
          {shown.why && <p class="card-why">{shown.why}</p>}
          {item?.text && <p class="details-text">{item.text}</p>}
          {link && (
            <p class="details-link">
              <a href={link} target="_blank" rel="noopener noreferrer">
                {new URL(link).host}
              </a>
            </p>
          )}
          <dl class="facts">
            {Object.entries(item?.attributes ?? {}).filter(([name]) => !(link && name === "url")).map(([name, values]) => (
              <div key={name}>
                <dt>{nameOf(name)}</dt>
                <dd>{values.slice(0, 12).join(", ")}</dd>
              </div>
            ))}
          </dl>
        </div>
      </div>
    </Dialog>
  );
}

function tagsOf(item: Item | undefined, kinds: string[]): string[] {
  const [, values] = Object.entries(item?.attributes ?? {}).find(([name, found]) => kinds.includes(name) && found.length) ?? [];
  return values?.slice(0, 3) ?? [];
}

/**
 * The people of an item, e.g. "Agnès Varda · Corinne Marchand, Antoine Bourseiller": of the attributes that the service
 * says name people, else of those whose values look like full names.
 */
export function peopleOf(item: Item | undefined, kinds: string[], named?: string[]): string {
  const parts: string[] = [];
  for (const [name, values] of Object.entries(item?.attributes ?? {})) {
    const looking = values.filter((value) => /^\p{Lu}\S*(?: \S+)* \p{Lu}\S*$/u.test(value));
    const people = named ? named.includes(name) : !kinds.includes(name) && looking.length * 2 > values.length;
    if (people && values.length) parts.push(values.slice(0, 2).join(", "));
  }
  return [...new Set(parts)].slice(0, 2).join(" · ");
}
