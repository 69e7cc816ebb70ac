/** What the page has to know before it begins. */
import { call, Failure } from "./api";
import type { Item, Service } from "./types";

/** Throws Failure. A service without /v1/service is described from its first items. */
export async function loadService(): Promise<Service> {
  try {
    const service = await call<Service>("GET", "/v1/service");
    // Nothing is told without a key, or before the store is open; asking for an item says which of it is so.
    if (service.items === 0) await call("GET", "/v1/items?limit=1");
    return service;
  } catch (error) {
    if (!(error instanceof Failure) || error.status !== 404) throw error;
  }
  const models = await call<{ data: { id: string }[] }>("GET", "/v1/models");
  const { items, next } = await call<{ items: Item[]; next: number | null }>("GET", "/v1/items?limit=1000");
  return { model: models.data[0]?.id ?? "rarec", items: next ?? items.length, ...described(items), keys_needed: false, layout: "", owner: false };
}

/** Attributes with at most forty values, the commonest first, the years, and some words to begin with. */
export function described(items: Item[]): Pick<Service, "vocabulary" | "example_messages"> {
  const counts: Record<string, Map<string, number>> = {};
  for (const item of items) {
    for (const [name, values] of Object.entries(item.attributes)) {
      const count = (counts[name] ??= new Map());
      for (const value of values) count.set(value, (count.get(value) ?? 0) + 1);
    }
  }
  const attributes: Record<string, string[]> = {};
  for (const [name, count] of Object.entries(counts)) {
    if (count.size <= 40) attributes[name] = [...count].sort((a, b) => b[1] - a[1]).map(([value]) => value);
  }
  const years = items.flatMap((item) => (item.year === null ? [] : [item.year]));
  const known = [...items].sort((a, b) => b.popularity - a.popularity).slice(0, 2);
  return {
    vocabulary: { attributes, year_min: years.length ? Math.min(...years) : null, year_max: years.length ? Math.max(...years) : null },
    example_messages: [...known.map((item) => `I liked ${item.title}. What next?`), "Surprise me with something little known.", "What is new here?"],
  };
}
