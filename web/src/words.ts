/** Words that hang on what the catalogue holds. */
import type { Item, Service } from "./types";

const FILM = "film";
const LONGEST = 24;

/** What stands in the empty field: a wish that this catalogue can hold to, if it has values to wish for. */
export function placeholder({ layout, vocabulary }: Pick<Service, "layout" | "vocabulary">): string {
  if (layout === FILM) return "From the 90s, not horror …";
  for (const values of Object.values(vocabulary.attributes)) {
    const [wanted, other] = values.filter((value) => value.length <= LONGEST);
    if (wanted && other) return `${wanted}, not ${other} …`;
  }
  return "Say what you are looking for …";
}

/** The heading above an empty conversation. */
export function greeting(layout: string): string {
  return layout === FILM ? "What are you in the mood for?" : "What are you looking for?";
}

/** The button, and what is announced behind the title. */
export function seenLabel(layout: string): { button: string; said: string } {
  return layout === FILM ? { button: "Seen it", said: "seen" } : { button: "Know it", said: "known to you" };
}

/** Where an item's title leads: its attribute `url`, if that is a whole http or https address. */
export function linkOf(item: Item | undefined): string | null {
  const address = item?.attributes["url"]?.[0] ?? "";
  if (!/^https?:\/\//i.test(address)) return null;
  try {
    return new URL(address).href;
  } catch {
    return null;
  }
}
