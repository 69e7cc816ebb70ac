/** Filters: chips that can be taken away, and the dialog that sets them. */
import { useState } from "preact/hooks";
import { Dialog, Icon, nameOf } from "./common";
import { chipsOf, choiceOf, cycled, NONE, withoutChip, withYears } from "./filters";
import type { Talk } from "./talk";
import type { Service } from "./types";

const SHOWN = 24;

export function Chips({ talk }: { talk: Talk }) {
  const set = chipsOf(talk.filters);
  if (!set.length && !talk.read.length && !talk.unknown.length) return null;
  return (
    <ul class="chips" aria-label="Filters that hold">
      {set.map((chip) => (
        <li key={chip.id}>
          <button type="button" class="chip" aria-label={`Remove the filter ${chip.label}`} onClick={() => talk.setFilters(withoutChip(talk.filters, chip))}>
            {chip.label} <Icon name="close" />
          </button>
        </li>
      ))}
      {talk.read.map((wish) => (
        <li key={wish.constraint}>
          <button
            type="button"
            class="chip read"
            title={`You said “${wish.words}”`}
            aria-label={`Remove the filter ${wish.label}, which was read from “${wish.words}”`}
            onClick={() => talk.drop(wish)}
          >
            {wish.hard === false ? `maybe ${wish.label}` : wish.label} <Icon name="close" />
          </button>
        </li>
      ))}
      {talk.unknown.map((words) => (
        <li key={words}>
          <span class="chip unknown" title="The catalogue does not say this of its items, or it was let go so that something is left">{`“${words}” not enforced`}</span>
        </li>
      ))}
    </ul>
  );
}

interface Props {
  talk: Talk;
  vocabulary: Service["vocabulary"];
  onClose: () => void;
}

export function FilterDialog({ talk, vocabulary, onClose }: Props) {
  const { filters } = talk;
  return (
    <Dialog title="Filters" class="filters" onClose={onClose}>
      <p class="quiet">Whatever is said, these hold. Press a value once to want it, twice to leave it out.</p>
      <div class="years">
        <Year label="From" value={filters.year_min} hint={vocabulary.year_min} onYear={(year) => talk.setFilters(withYears(filters, year, filters.year_max))} />
        <Year label="To" value={filters.year_max} hint={vocabulary.year_max} onYear={(year) => talk.setFilters(withYears(filters, filters.year_min, year))} />
      </div>
      {Object.entries(vocabulary.attributes).map(([attribute, values], number) => (
        <details key={attribute} open={number === 0} class="values">
          <summary>{nameOf(attribute)}</summary>
          <div class="choices">
            {values.slice(0, SHOWN).map((value) => {
              const choice = choiceOf(filters, attribute, value);
              const label = { off: value, want: `${value}, wanted`, avoid: `${value}, left out` }[choice];
              return (
                <button
                  key={value}
                  type="button"
                  class={`choice ${choice}`}
                  aria-label={label}
                  onClick={() => talk.setFilters(cycled(filters, attribute, value))}
                >
                  {value}
                </button>
              );
            })}
          </div>
        </details>
      ))}
      <div class="dialog-foot">
        <button type="button" class="button" onClick={() => talk.setFilters(NONE)}>
          Clear all
        </button>
        <button type="button" class="button primary" onClick={(event) => event.currentTarget.closest("dialog")?.close()}>
          Done
        </button>
      </div>
    </Dialog>
  );
}

function Year(props: { label: string; value: number | null; hint: number | null; onYear: (year: number | null) => void }) {
  const [text, setText] = useState(props.value === null ? "" : String(props.value));
  return (
    <label>
      {props.label}
      <input
        type="number"
        inputMode="numeric"
        min={0}
        max={9999}
        placeholder={props.hint === null ? "" : String(props.hint)}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onChange={(event) => {
          const year = event.currentTarget.value === "" ? null : Math.round(Number(event.currentTarget.value));
          props.onYear(year !== null && year > 0 && year <= 9999 ? year : null);
        }}
      />
    </label>
  );
}
