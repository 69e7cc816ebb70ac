/**
 * The little markdown that replies use: paragraphs, lists, **bold** and *italic*. Everything else stays text, and all of
 * it is rendered as text nodes, so nothing in a reply can become markup.
 */

export interface Span {
  text: string;
  style: "plain" | "bold" | "italic";
}

export interface Block {
  kind: "paragraph" | "list";
  /** One entry for a paragraph, one an item for a list. */
  lines: Span[][];
}

const LIST = /^\s{0,3}(?:[-*•]|\d{1,2}[.)])\s+(.*)$/;

export function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | null = null;
  for (const line of text.replace(/\r\n?/g, "\n").split("\n")) {
    const item = LIST.exec(line);
    if (!line.trim()) {
      open = null;
    } else if (item) {
      if (open?.kind !== "list") blocks.push((open = { kind: "list", lines: [] }));
      open.lines.push(spansOf(item[1] ?? ""));
    } else if (open) {
      const last = open.lines[open.lines.length - 1]!;
      last.push({ text: " ", style: "plain" }, ...spansOf(line.trim()));
    } else {
      blocks.push((open = { kind: "paragraph", lines: [spansOf(line.trim())] }));
    }
  }
  return blocks;
}

export function spansOf(line: string): Span[] {
  const spans: Span[] = [];
  const mark = /\*\*(?=\S)([^*]{1,500}?\S|\S)\*\*|\*(?=\S)([^*]{1,500}?\S|\S)\*/g;
  let at = 0;
  for (const match of line.matchAll(mark)) {
    if (match.index > at) spans.push({ text: line.slice(at, match.index), style: "plain" });
    spans.push(match[1] !== undefined ? { text: match[1], style: "bold" } : { text: match[2]!, style: "italic" });
    at = match.index + match[0].length;
  }
  if (at < line.length) spans.push({ text: line.slice(at), style: "plain" });
  return spans;
}
