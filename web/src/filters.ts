/** Filters that were set by hand: pure functions from one state to the next. */
import type { Filters } from "./types";

export type Choice = "off" | "want" | "avoid";

export const NONE: Filters = { any_of: {}, all_of: {}, none_of: {}, year_min: null, year_max: null, exclude: [] };

export interface Chip {
  id: string;
  label: string;
  attribute: string;
  value: string;
}

export function choiceOf(filters: Filters, attribute: string, value: string): Choice {
  if (filters.any_of[attribute]?.includes(value)) return "want";
  return filters.none_of[attribute]?.includes(value) ? "avoid" : "off";
}

/** The state behind a press on a value: wanted, then avoided, then off again. */
export function cycled(filters: Filters, attribute: string, value: string): Filters {
  const next: Record<Choice, Choice> = { off: "want", want: "avoid", avoid: "off" };
  return chosen(filters, attribute, value, next[choiceOf(filters, attribute, value)]);
}

export function chosen(filters: Filters, attribute: string, value: string, choice: Choice): Filters {
  return {
    ...filters,
    any_of: placed(filters.any_of, attribute, value, choice === "want"),
    none_of: placed(filters.none_of, attribute, value, choice === "avoid"),
  };
}

export function withYears(filters: Filters, year_min: number | null, year_max: number | null): Filters {
  if (year_min !== null && year_max !== null && year_min > year_max) [year_min, year_max] = [year_max, year_min];
  return { ...filters, year_min, year_max };
}

/** What stands above the field to type in, each with what takes it away. */
export function chipsOf(filters: Filters): Chip[] {
  const chips: Chip[] = [];
  const years = yearsLabel(filters.year_min, filters.year_max);
  if (years) chips.push({ id: "year", label: years, attribute: "year", value: "" });
  for (const [kind, values] of [["any_of", filters.any_of], ["none_of", filters.none_of]] as const) {
    for (const [attribute, names] of Object.entries(values)) {
      for (const value of names) {
        const label = kind === "none_of" ? `not ${value}` : value;
        chips.push({ id: `${kind}:${attribute}:${value}`, label, attribute, value });
      }
    }
  }
  return chips;
}

export function withoutChip(filters: Filters, chip: Chip): Filters {
  return chip.id === "year" ? withYears(filters, null, null) : chosen(filters, chip.attribute, chip.value, "off");
}

export function yearsLabel(low: number | null, high: number | null): string {
  if (low !== null && high !== null) return low === high ? String(low) : `${low}–${high}`;
  if (low !== null) return `${low} or later`;
  return high !== null ? `${high} or earlier` : "";
}

/** What is sent: without what is empty. */
export function documentOf(filters: Filters, exclude: readonly string[] = []): Partial<Filters> {
  const document: Partial<Filters> = {};
  if (Object.keys(filters.any_of).length) document.any_of = filters.any_of;
  if (Object.keys(filters.none_of).length) document.none_of = filters.none_of;
  if (filters.year_min !== null) document.year_min = filters.year_min;
  if (filters.year_max !== null) document.year_max = filters.year_max;
  if (exclude.length) document.exclude = [...exclude];
  return document;
}

function placed(
  values: Record<string, string[]>,
  attribute: string,
  value: string,
  there: boolean,
): Record<string, string[]> {
  const rest = (values[attribute] ?? []).filter((one) => one !== value);
  const { [attribute]: _, ...others } = values;
  const names = there ? [...rest, value] : rest;
  return names.length ? { ...others, [attribute]: names } : others;
}
