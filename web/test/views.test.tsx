/** What is rendered, as markup: texts of others stay text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { Figures } from "../src/admin-overview";
import { Card, peopleOf } from "../src/card";
import { Cover, dollars, milliseconds, Prose } from "../src/common";
import { traceOf, TraceView } from "../src/trace";
import { linkOf, placeholder, seenLabel } from "../src/words";

const EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
const SHOWN = { id: "x", title: EVIL, year: 1990, score: 1.5, why: EVIL, retriever_rank: 4 };
const ITEM = { id: "x", title: EVIL, text: EVIL, year: 1990, attributes: { genres: [EVIL], directors: ["Ada Berg"], keywords: ["sea"] }, popularity: 1 };

test("markup in titles, reasons, attributes and replies is shown as text", () => {
  const facts = { items: [SHOWN], degraded: true, reason: EVIL, timings_ms: { llm: 2, total: 3 } };
  const pages = [
    renderToString(<Prose text={`${EVIL}\n\n- **${EVIL}**`} />),
    renderToString(<Cover title={EVIL} />),
    renderToString(<Card shown={SHOWN} item={ITEM} kinds={["genres"]} people={undefined} layout="film" verdict={null} onVerdict={() => undefined} onOpen={() => undefined} onFollow={() => undefined} />),
    renderToString(<TraceView trace={{ ...traceOf(facts), mentions: [{ id: "x", title: EVIL, sentiment: "liked", span: null, turn: 1 }], model: EVIL, bundle: EVIL }} />),
  ];
  for (const page of pages) {
    assert.ok(!/<img|<script/i.test(page), page.slice(0, 300));
    assert.ok(page.includes("&lt;"), page.slice(0, 300));
  }
});

test("a card says what was thought of it", () => {
  const card = renderToString(<Card shown={{ ...SHOWN, title: "Kiosk" }} item={ITEM} kinds={["genres"]} people={undefined} layout="film" verdict="like" onVerdict={() => undefined} onOpen={() => undefined} onFollow={() => undefined} />);
  assert.equal(card.match(/aria-pressed="true"|aria-pressed(?=[ >])/g)?.length, 1);
  assert.ok(card.includes("What you think of Kiosk"));
  assert.ok(card.includes("Ada Berg"));
});

test("a title leads to the item's own page, and nowhere else", () => {
  const at = (url: string) => ({ ...ITEM, attributes: { ...ITEM.attributes, url: [url] } });
  const card = renderToString(<Card shown={{ ...SHOWN, title: "Kiosk" }} item={at("https://shop.example/a?b=1&c=2")} kinds={[]} people={undefined} layout="generic" verdict={null} onVerdict={() => undefined} onOpen={() => undefined} onFollow={() => undefined} />);
  assert.match(card, /<a class="card-title" href="https:\/\/shop.example\/a\?b=1&amp;c=2" target="_blank" rel="noopener noreferrer">Kiosk<\/a>/);
  assert.ok(card.includes('aria-label="Details of Kiosk"'));
  assert.ok(card.includes("Know it") && !card.includes("Seen it"));
  for (const bad of ["javascript:alert(1)", "data:text/html,x", " https://x.example", "//x.example", "/a", "https://", ""]) assert.equal(linkOf(at(bad)), null, bad);
  assert.equal(linkOf(undefined), null);
});

test("words are of the catalogue", () => {
  const vocabulary = { attributes: { long: ["a value that is far too long to be shown", "x"], brand: ["Acme", "Bolt"] }, year_min: null, year_max: null };
  assert.equal(placeholder({ layout: "generic", vocabulary }), "Acme, not Bolt …");
  assert.equal(placeholder({ layout: "generic", vocabulary: { ...vocabulary, attributes: {} } }), "Say what you are looking for …");
  assert.equal(placeholder({ layout: "film", vocabulary }), "From the 90s, not horror …");
  assert.equal(seenLabel("film").button, "Seen it");
});

test("the local ranker is not called a model", () => {
  const facts = { items: [SHOWN], degraded: false, reason: "", timings_ms: {} };
  const page = renderToString(<TraceView trace={{ ...traceOf(facts), model: "local-ranker" }} />);
  assert.ok(page.includes("Ordered by the local ranker") && page.includes("Ranker&#39;s place") || page.includes("Ranker's place"));
  assert.ok(!page.includes("Chosen by the model"));
});

test("people are the attributes whose values look like full names", () => {
  assert.equal(peopleOf({ ...ITEM, attributes: { cast: ["Ada Berg", "Émile Ólafur Nuñez", "Cher"], keywords: ["red sea"] } }, []), "Ada Berg, Émile Ólafur Nuñez");
  const named = { ...ITEM, attributes: { original_title: ["Le Bon Film"], directors: ["Ada Berg"] } };
  assert.equal(peopleOf(named, [], ["directors"]), "Ada Berg", "the service knows better");
  assert.equal(peopleOf({ ...ITEM, attributes: { countries: ["South Korea"] } }, ["countries"]), "");
});

test("a degraded trace says so", () => {
  const facts = { items: [SHOWN], degraded: true, reason: "timeout", timings_ms: {} };
  assert.ok(renderToString(<TraceView trace={traceOf(facts)} />).includes("No language model took part: timeout"));
});

test("every stage of a turn has a bar and a line", () => {
  const timings_ms = { words: 40, link: 1, embed: 4, retrieve: 5, llm: 50, total: 100 };
  const page = renderToString(<TraceView trace={{ timings_ms }} />);
  for (const stage of ["words", "link", "embed", "retrieve", "llm"]) {
    assert.equal(page.split(`stage-${stage}"`).length, 3, stage);
  }
});

test("figures without a turn have no latency", () => {
  const overview = {
    since: "2026-01-01", items: 20, sessions: 0, turns: 0, degraded_share: 0, latency_ms: null,
    spend: { calls: 0, tokens: 0, usd: 0 }, counts_dollars: true, likes: 0, refuses: 0, days: [],
  };
  const page = renderToString(<Figures overview={overview} />);
  assert.ok(page.includes("–"));
  assert.ok(!page.includes("NaN"));
});

test("dollars that nobody counts are not shown as none", () => {
  const overview = {
    since: "2026-01-01", items: 20, sessions: 1, turns: 1, degraded_share: 0, latency_ms: null,
    spend: { calls: 1, tokens: 900, usd: 0 }, likes: 0, refuses: 0, days: [],
  };
  const counted = renderToString(<Figures overview={{ ...overview, counts_dollars: true }} />);
  const unknown = renderToString(<Figures overview={{ ...overview, counts_dollars: false }} />);
  assert.ok(counted.includes("$0") && !counted.includes("input_usd"));
  assert.ok(unknown.includes("set llm.input_usd") && !unknown.includes(">$0<"));
});

test("times and money in words", () => {
  assert.deepEqual([milliseconds(1.25), milliseconds(842), milliseconds(2500), milliseconds(60_000)], ["1.3 ms", "842 ms", "2.5 s", "60 s"]);
  assert.deepEqual([dollars(0), dollars(0.00123), dollars(12.5)], ["$0", "$0.0012", "$12.50"]);
});
