/** Attributes of an item as people type them: "genres: Drama | Comedy", one attribute a line. */

export function attributeText(attributes: Record<string, string[]>): string {
  return Object.entries(attributes)
    .map(([name, values]) => `${name}: ${values.join(" | ")}`)
    .join("\n");
}

/** Throws an Error that names the line in which something is wrong. */
export function attributesOf(text: string): Record<string, string[]> {
  const attributes: Record<string, string[]> = {};
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (!line) continue;
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim();
    if (colon < 1 || !name) throw new Error(`“${line}” has no name and colon before its values`);
    const values = line.slice(colon + 1).split("|").map((value) => value.trim()).filter(Boolean);
    attributes[name] = [...(attributes[name] ?? []), ...values];
  }
  return attributes;
}
