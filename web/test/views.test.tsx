/** What is rendered, as markup: texts of others stay text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { Figures } from "../src/admin-overview";
import { Card, peopleOf } from "../src/card";
import { Cover, dollars, milliseconds, Prose } from "../src/common";
import { traceOf, TraceView } from "../src/trace";

const EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
const SHOWN = { id: "x", title: EVIL, year: 1990, score: 1.5, why: EVIL, retriever_rank: 4 };
const ITEM = { id: "x", title: EVIL, text: EVIL, year: 1990, attributes: { genres: [EVIL], directors: ["Ada Berg"], keywords: ["sea"] }, popularity: 1 };

test("markup in titles, reasons, attributes and replies is shown as text", () => {
  const facts = { items: [SHOWN], degraded: true, reason: EVIL, timings_ms: { llm: 2, total: 3 } };
  const pages = [
    renderToString(<Prose text={`${EVIL}\n\n- **${EVIL}**`} />),
    renderToString(<Cover title={EVIL} />),
    renderToString(<Card shown={SHOWN} item={ITEM} kinds={["genres"]} people={undefined} verdict={null} onVerdict={() => undefined} onOpen={() => undefined} />),
    renderToString(<TraceView trace={{ ...traceOf(facts), mentions: [{ id: "x", title: EVIL, sentiment: "liked", span: null, turn: 1 }], model: EVIL, bundle: EVIL }} />),
  ];
  for (const page of pages) {
    assert.ok(!/<img|<script/i.test(page), page.slice(0, 300));
    assert.ok(page.includes("&lt;"), page.slice(0, 300));
  }
});

test("a card says what was thought of it", () => {
  const card = renderToString(<Card shown={{ ...SHOWN, title: "Kiosk" }} item={ITEM} kinds={["genres"]} people={undefined} verdict="like" onVerdict={() => undefined} onOpen={() => undefined} />);
  assert.equal(card.match(/aria-pressed="true"|aria-pressed(?=[ >])/g)?.length, 1);
  assert.ok(card.includes("What you think of Kiosk"));
  assert.ok(card.includes("Ada Berg"));
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
    spend: { calls: 0, tokens: 0, usd: 0 }, likes: 0, refuses: 0, days: [],
  };
  const page = renderToString(<Figures overview={overview} />);
  assert.ok(page.includes("–"));
  assert.ok(!page.includes("NaN"));
});

test("times and money in words", () => {
  assert.deepEqual([milliseconds(1.25), milliseconds(842), milliseconds(2500), milliseconds(60_000)], ["1.3 ms", "842 ms", "2.5 s", "60 s"]);
  assert.deepEqual([dollars(0), dollars(0.00123), dollars(12.5)], ["$0", "$0.0012", "$12.50"]);
});
