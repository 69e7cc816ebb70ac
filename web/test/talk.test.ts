/** The conversation against a service of a few lines that answers as docs/http_api.md says. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Talk, UPDATE } from "../src/talk";

interface Asked {
  method: string;
  path: string;
  body: any;
}

let asked: Asked[] = [];
let routes: Record<string, (body: any) => Response> = {};

const json = (document: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(document), { status, headers });
const shown = (id: string) => ({ id, title: `Title of ${id}`, year: 1999, score: 1, why: "", retriever_rank: 1 });
const answer = (facts: object, text = "Take this.") => {
  const rarec = { items: [shown("a"), shown("b")], degraded: false, reason: "", timings_ms: {}, ...facts };
  const chunks = [{ choices: [{ delta: { content: text } }] }, { choices: [{ delta: {} }], rarec }];
  return new Response(`${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}`).join("\n\n")}\n\ndata: [DONE]\n\n`);
};
const chats = () => asked.filter((one) => one.path === "/v1/chat/completions").map((one) => one.body);

beforeEach(() => {
  asked = [];
  routes = {
    "POST /v1/sessions": () => json({ id: "s1" }, 201),
    "POST /v1/chat/completions": () => answer({ session: "s1", turn: 2 }),
    "GET /v1/items": () => json({ items: [] }),
    "POST /v1/feedback": () => json({ stored: 1, repeated: 0 }),
  };
  (globalThis as any).sessionStorage = { getItem: () => null };
  globalThis.fetch = (async (path: string, init: RequestInit) => {
    const body = init.body ? JSON.parse(String(init.body)) : undefined;
    asked.push({ method: init.method!, path, body });
    const route = routes[`${init.method} ${path.split("?")[0]}`];
    return route ? route(body) : json({ title: "Not Found", detail: "nothing here" }, 404);
  }) as typeof fetch;
});

test("in a session only the last message is sent, and verdicts go to the service", async () => {
  const talk = new Talk("rarec", () => undefined);
  await talk.ask("first");
  assert.equal(await talk.feel(shown("a"), 2, "refuse"), null);
  assert.equal(talk.changes, 1);
  await talk.ask("second");
  assert.equal(talk.changes, 0);
  const [, second] = chats();
  assert.deepEqual(second.messages, [{ role: "user", content: "second" }]);
  assert.deepEqual(second.rarec, { n: 6, filters: {}, session: "s1" });
  const events = asked.filter((one) => one.path === "/v1/feedback").map((one) => one.body.events[0]);
  assert.equal(events.length, 1);
  assert.equal(events[0].kind, "refuse");
  assert.equal(events[0].turn, 2);
});

test("the same verdict again takes it back, under an event id of its own", async () => {
  const talk = new Talk("rarec", () => undefined);
  await talk.ask("first");
  await talk.feel(shown("a"), 2, "like");
  await talk.feel(shown("a"), 2, "like");
  assert.equal(talk.verdictOf("a"), null);
  const events = asked.filter((one) => one.path === "/v1/feedback").map((one) => one.body.events[0]);
  assert.deepEqual(events.map((one) => one.kind), ["like", "clear"]);
  assert.notEqual(events[0].id, events[1].id);
});

test("a verdict that the service does not take is taken back", async () => {
  routes["POST /v1/feedback"] = () => json({ title: "Busy", detail: "later" }, 503);
  const talk = new Talk("rarec", () => undefined);
  await talk.ask("first");
  const failure = await talk.feel(shown("a"), 2, "like");
  assert.equal(failure?.title, "Busy");
  assert.equal(talk.verdictOf("a"), null);
});

test("where no sessions are kept the page sends all of it, with verdicts in words and as filters", async () => {
  delete routes["POST /v1/sessions"];
  routes["POST /v1/chat/completions"] = () => answer({});
  const talk = new Talk("rarec", () => undefined);
  await talk.ask("first");
  await talk.feel(shown("a"), null, "refuse");
  await talk.feel(shown("b"), null, "like");
  await talk.ask(UPDATE);
  const [, second] = chats();
  assert.deepEqual(second.messages, [
    { role: "user", content: "first" },
    { role: "assistant", content: "Take this." },
    { role: "user", content: "I did not like Title of a.\nI liked Title of b." },
    { role: "user", content: UPDATE },
  ]);
  assert.deepEqual(second.rarec, { n: 6, filters: { exclude: ["a"] } });
  assert.equal(asked.filter((one) => one.path === "/v1/sessions").length, 1, "it is not asked for again");
});

test("a wish that was read is shown, and sent back once it is removed", async () => {
  const read = [{ label: "not Horror", words: "horror", turn: 1, constraint: "0:4:genres:not Horror" }];
  routes["POST /v1/chat/completions"] = () => answer({ turn: 2, filters: { read, unknown: [{ words: "short" }] } });
  const talk = new Talk("rarec", () => undefined);
  await talk.ask("not horror, short");
  assert.deepEqual(talk.read, read);
  assert.deepEqual(talk.unknown, ["short"]);
  talk.drop(read[0]!);
  assert.deepEqual(talk.read, []);
  await talk.ask(UPDATE);
  assert.deepEqual(chats()[1].rarec.without, ["0:4:genres:not Horror"]);
});

test("a failure stands in the answer, and asking again takes its place", async () => {
  routes["POST /v1/chat/completions"] = () => json({ title: "Too many", detail: "wait" }, 429, { "Retry-After": "7" });
  const talk = new Talk("rarec", () => undefined);
  await talk.ask("first");
  const failed = talk.messages.at(-1)!;
  assert.ok(failed.kind === "answer" && failed.state === "failed" && failed.failure);
  assert.equal(failed.failure.retryAfter, 7);
  routes["POST /v1/chat/completions"] = () => answer({ turn: 2 });
  await talk.retry();
  assert.deepEqual(talk.messages.map((message) => message.kind), ["user", "answer"]);
  assert.equal(talk.busy, false);
});

test("a stream that ends too early is a failure that keeps what came", async () => {
  routes["POST /v1/chat/completions"] = () => new Response('data: {"choices":[{"delta":{"content":"Half"}}]}\n\n');
  const talk = new Talk("rarec", () => undefined);
  await talk.ask("first");
  const broken = talk.messages.at(-1)!;
  assert.ok(broken.kind === "answer");
  assert.equal(broken.text, "Half");
  assert.equal(broken.failure?.title, "The answer broke off");
});

test("a kept conversation is shown as it was", async () => {
  const turns = [
    { number: 1, role: "user", text: "hello" },
    { number: 2, role: "assistant", text: "Here.", items: [{ item: "a", score: 2, why: "so", retriever_rank: 3 }], filters: { given: { year_min: 1990 }, read: [] } },
  ];
  const events = [{ turn: 2, item: "a", kind: "like" }, { turn: 2, item: "b", kind: "seen" }, { turn: 2, item: "b", kind: "clear" }];
  routes["GET /v1/sessions/old"] = () => json({ turns, events });
  routes["GET /v1/items"] = () => json({ items: [{ id: "a", title: "Alpha", text: "", year: 1987, attributes: {}, popularity: 0 }] });
  const talk = new Talk("rarec", () => undefined);
  await talk.open("old");
  const last = talk.messages[1]!;
  assert.ok(last.kind === "answer" && last.facts);
  assert.equal(last.facts.items[0]!.title, "Alpha");
  assert.equal(last.facts.turn, 2);
  assert.equal(talk.filters.year_min, 1990);
  assert.deepEqual([talk.verdictOf("a"), talk.verdictOf("b")], ["like", null]);
});
