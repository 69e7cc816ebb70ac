import assert from "node:assert/strict";
import { test } from "node:test";
import { coverOf, HEIGHT, typeset, WIDTH, widthOf } from "../src/cover";
import { EventReader } from "../src/events";
import { chipsOf, choiceOf, cycled, documentOf, NONE, withoutChip, withYears, yearsLabel } from "../src/filters";
import { attributesOf, attributeText } from "../src/item-text";
import { blocksOf } from "../src/markdown";
import { everyDay } from "../src/plots";
import { described } from "../src/service";

test("events come whole, however the stream is cut", () => {
  const stream = 'data: {"a":1}\n\n: a remark\n\ndata: two\ndata: lines\r\n\r\ndata: [DONE]\n\n';
  for (let size = 1; size <= stream.length; size += 1) {
    const reader = new EventReader();
    const found: string[] = [];
    for (let at = 0; at < stream.length; at += size) found.push(...reader.read(stream.slice(at, at + size)));
    assert.deepEqual(found, ['{"a":1}', "two\nlines", "[DONE]"], `pieces of ${size}`);
  }
});

test("a cover is the same for the same title, and most titles differ", () => {
  assert.deepEqual(coverOf("Quiet Harbour"), coverOf("Quiet Harbour"));
  const seen = new Set(Array.from({ length: 200 }, (_, n) => JSON.stringify(coverOf(`Title ${n}`).shapes)));
  assert.ok(seen.size > 190, `${seen.size} of 200`);
});

test("a cover holds only shapes with numbers, whatever the title is", () => {
  for (const title of ["", " ", '<script>alert("x")</script>', "日本沈没", "a".repeat(3000), "word ".repeat(400), "\u0000\uD800"]) {
    const art = coverOf(title);
    assert.ok(!/[<>"&]|NaN|undefined|url\(/.test(JSON.stringify(art.shapes).replaceAll('"', "")), title.slice(0, 20));
    assert.ok(art.lines.length <= 4);
    for (const line of art.lines) assert.ok(line.y > 0 && line.y < HEIGHT - 4, `${title.slice(0, 20)}: ${line.y}`);
  }
});

test("type gets smaller until the title fits, then it is cut", () => {
  assert.equal(typeset("Jaws").fontSize, 34);
  const long = typeset("The Assassination of Jesse James by the Coward Robert Ford and Everything That Came After It");
  assert.equal(long.fontSize, 18);
  assert.ok(long.lines.at(-1)!.endsWith("…"));
  for (const line of long.lines) assert.ok(widthOf(line) * long.fontSize <= WIDTH);
});

test("markdown is paragraphs, lists, bold and italic, and everything else is text", () => {
  assert.deepEqual(blocksOf("One **bold** and *soft*.\nGoes on.\n\n- first\n- second"), [
    {
      kind: "paragraph",
      lines: [
        [
          { text: "One ", style: "plain" },
          { text: "bold", style: "bold" },
          { text: " and ", style: "plain" },
          { text: "soft", style: "italic" },
          { text: ".", style: "plain" },
          { text: " ", style: "plain" },
          { text: "Goes on.", style: "plain" },
        ],
      ],
    },
    { kind: "list", lines: [[{ text: "first", style: "plain" }], [{ text: "second", style: "plain" }]] },
  ]);
  assert.deepEqual(blocksOf("<b>2 * 3 * 4</b> [x](javascript:1)")[0]!.lines[0], [
    { text: "<b>2 * 3 * 4</b> [x](javascript:1)", style: "plain" },
  ]);
});

test("no text is lost or made up by markdown, and it takes no long time", () => {
  for (const text of ["**", "a ** b ** c", "*".repeat(5000), `**${"a ".repeat(4000)}`, "* *x* **y**"]) {
    const shown = blocksOf(text).flatMap((block) => block.lines.flat()).map((span) => span.text).join("");
    assert.equal(shown.replace(/[*\s]/g, ""), text.replace(/[*\s]/g, ""));
  }
});

test("a value goes from off to wanted to left out and back", () => {
  let filters = cycled(NONE, "genres", "Horror");
  assert.equal(choiceOf(filters, "genres", "Horror"), "want");
  filters = cycled(filters, "genres", "Horror");
  assert.equal(choiceOf(filters, "genres", "Horror"), "avoid");
  assert.deepEqual(documentOf(filters), { none_of: { genres: ["Horror"] } });
  assert.deepEqual(cycled(filters, "genres", "Horror"), NONE);
});

test("every chip takes away what it says, and nothing else", () => {
  let filters = withYears(cycled(cycled(cycled(NONE, "genres", "Drama"), "genres", "War"), "genres", "War"), 1999, 1990);
  assert.deepEqual(chipsOf(filters).map((chip) => chip.label), ["1990–1999", "Drama", "not War"]);
  for (const left of [2, 1, 0]) {
    filters = withoutChip(filters, chipsOf(filters)[0]!);
    assert.equal(chipsOf(filters).length, left);
  }
  assert.deepEqual(filters, NONE);
  assert.deepEqual(documentOf(filters, ["a"]), { exclude: ["a"] });
});

test("years in words", () => {
  assert.deepEqual([yearsLabel(1990, 1990), yearsLabel(1990, null), yearsLabel(null, 1990), yearsLabel(null, null)], ["1990", "1990 or later", "1990 or earlier", ""]);
});

test("attributes survive being typed", () => {
  const attributes = { genres: ["Drama", "Science Fiction"], note: ["a: b"] };
  assert.deepEqual(attributesOf(attributeText(attributes)), attributes);
  assert.throws(() => attributesOf("genres: Drama\nno colon here"), /no colon here/);
});

test("days without anything count as zero", () => {
  const points = everyDay([{ day: "2026-02-27", turns: 3 }], (row) => row.turns, 3, new Date("2026-03-01T12:00:00Z"));
  assert.deepEqual(points, [{ day: "2026-02-27", value: 3 }, { day: "2026-02-28", value: 0 }, { day: "2026-03-01", value: 0 }]);
});

test("a service that does not describe itself is described from its items", () => {
  const items = [1990, 2001].map((year, n) => ({ id: String(n), title: `T${n}`, text: "", year, attributes: { kind: ["a", `k${n}`] }, popularity: n }));
  const { vocabulary, example_messages } = described(items);
  assert.deepEqual(vocabulary, { attributes: { kind: ["a", "k0", "k1"] }, year_min: 1990, year_max: 2001 });
  assert.ok(example_messages[0]!.includes("T1"));
});
