"""Simulated judges: their tastes pull in the named direction, and nothing but seed and content decides an answer."""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import anyio
import numpy as np
import pytest

from rarec.conversations import examples_from_conversations
from rarec.errors import InputError, LLMError, LLMRefused, LLMTimeout
from rarec.evaluate.metrics import ndcg_at
from rarec.prompt import parse, render
from rarec.testing import example_task
from rarec.testing.judges import (
    PRESETS,
    Affinity,
    Asked,
    Era,
    Faults,
    Favourites,
    Judged,
    Memory,
    People,
    Popularity,
    Shared,
    SimulatedLLM,
    Taste,
    Words,
    World,
    forgetful,
    sloppy,
)
from rarec.testing.judges.taste import uniform
from rarec.testing.second_domain import KINDS, PEOPLE, SecondDomain, second_domain
from rarec.types import Candidate, Completion, CompletionRequest, Conversation, Item, ItemId, Mention, RankingTask, Turn

PLAIN = Taste()


def item(name: str, text: str = "", *, year: int | None = None, popularity: float = 0.0, **attributes: str) -> Item:
    return Item(ItemId(name), name.title(), text, year, {k: (v,) for k, v in attributes.items()}, popularity)


def task(
    candidates: Sequence[Item], said: str = "", *, liked: Sequence[Item] = (), disliked: Sequence[Item] = ()
) -> RankingTask:
    mentions = (*(Mention(i.id, "liked") for i in liked), *(Mention(i.id, "disliked") for i in disliked))
    conversation = Conversation((Turn("user", said, mentions),), "c")
    known = {i.id: i for i in (*liked, *disliked)}
    return RankingTask(conversation, known, tuple(Candidate(i, 0.0) for i in candidates), len(candidates))


def request(of: RankingTask, **options: float) -> CompletionRequest:
    return CompletionRequest(render(of), task=of, **options)  # type: ignore[arg-type]


def ask(llm: SimulatedLLM, asked: CompletionRequest) -> Completion:
    return anyio.run(llm.complete, asked)


def outcome(llm: SimulatedLLM, asked: CompletionRequest) -> str:
    try:
        return ask(llm, asked).text
    except LLMError as error:
        return repr(error)


def names(llm: SimulatedLLM, of: RankingTask) -> list[str]:
    return [str(of.candidates[place].item.id) for place in llm.order(of)]


@cache
def domain() -> SecondDomain:
    return second_domain(0)


@cache
def world() -> World:
    return World.of(domain().items, kinds=KINDS, people=PEOPLE)


@cache
def validation_tasks(count: int = 200) -> tuple[tuple[RankingTask, int, str], ...]:
    """Tasks with the truth among 20, where it is shown, and the conversation; distractors by popularity."""
    rng = np.random.default_rng(7)
    items = {i.id: i for i in domain().items}
    popularity = np.array([i.popularity for i in domain().items])
    found = []
    for example in examples_from_conversations(domain().valid)[:count]:
        truth = example.targets[0]
        out = {*example.targets, *example.context_items}
        weights = np.where([i.id in out for i in domain().items], 0.0, popularity)
        others = rng.choice(len(weights), size=19, replace=False, p=weights / weights.sum())
        shown = [items[truth], *(domain().items[at] for at in others)]
        rng.shuffle(shown)  # type: ignore[arg-type]
        mentioned = {i: items[i] for i in example.context_items}
        candidates = tuple(Candidate(i, 0.0) for i in shown)
        place = next(at for at, i in enumerate(shown) if i.id == truth)
        found.append((RankingTask(example.conversation, mentioned, candidates, 20), place, example.dialogue))
    return tuple(found)


# what decides an answer


def test_an_answer_is_the_json_that_was_asked_for() -> None:
    asked = request(example_task())
    answer = json.loads(ask(SimulatedLLM(Taste((Shared(),))), asked).text)
    assert set(answer) == {"ranking", "reply"}
    assert answer["ranking"] == [1, 2]  # The Lamp shares Drama with Tide; the others tie in the order shown
    parsed = parse(json.dumps(answer), offered=3, n=2)
    assert not parsed.report.repaired


def test_an_answer_is_the_same_in_every_process() -> None:
    assert uniform("a", 1) == 0.14976907794029348
    asked = CompletionRequest((), task=task([item(f"i{n}") for n in range(8)], "hello"))
    llm = SimulatedLLM(Taste(whim=1.0, noise=1.0), seed=3)
    assert json.loads(ask(llm, asked).text)["ranking"] == [5, 4, 1, 8, 6, 7, 3, 2]


def test_answers_do_not_hang_on_order_or_company() -> None:
    llm = sloppy(world(), seed=4, latency_s=0.001)
    asked = [request(t) for t, _, _ in validation_tasks()[:60]]
    alone = [outcome(llm, one) for one in asked]
    backwards = [outcome(sloppy(world(), seed=4), one) for one in reversed(asked)][::-1]
    together: dict[int, str] = {}

    async def one(at: int) -> None:
        try:
            together[at] = (await llm.complete(asked[at])).text
        except LLMError as error:
            together[at] = repr(error)

    async def go() -> None:
        async with anyio.create_task_group() as group:
            for at in random.Random(1).sample(range(len(asked)), len(asked)):
                group.start_soon(one, at)

    anyio.run(go)
    assert alone == backwards == [together[at] for at in range(len(asked))]
    assert alone != [outcome(sloppy(world(), seed=5), one) for one in asked]


def test_noise_changes_with_the_request_and_whims_with_the_conversation_only() -> None:
    things = [item(f"i{n}") for n in range(12)]
    one, turned, other = task(things, "hello"), task(things[::-1], "hello"), task(things, "good day")
    renamed = replace(one, conversation=replace(one.conversation, id="another id"))
    whims, noise = SimulatedLLM(Taste(whim=1.0)), SimulatedLLM(Taste(noise=1.0))
    assert names(whims, one) == names(whims, turned) == names(whims, renamed)
    assert names(whims, one) != names(whims, other)
    assert names(noise, one) == names(noise, renamed)
    assert len({tuple(names(noise, t)) for t in (one, turned, other)}) == 3
    assert ask(noise, request(one)).text != ask(noise, request(one, temperature=1.0)).text
    assert ask(noise, request(one)).text == ask(noise, request(one, max_tokens=500, deadline_s=5.0)).text


# the parts of a taste


PAST = [item("mill", "wind and flour", year=1950, kind="calm"), item("mask", "a thief", year=2010, kind="loud")]


def test_without_a_taste_the_shown_order_comes_back() -> None:
    assert names(SimulatedLLM(PLAIN), task(PAST)) == ["mill", "mask"]
    assert names(SimulatedLLM(PLAIN), task(PAST[::-1])) == ["mask", "mill"]


@pytest.mark.parametrize(
    ("part", "first"),
    [
        (Era(years=(2000, 2020)), "mask"),
        (Era(years=(1940, 1955)), "mill"),
        (Era(), "mask"),
        (Favourites("kind", frozenset({"calm"})), "mill"),
        (Favourites("kind", frozenset({"loud"})), "mask"),
        (Shared(1.0, ("kind",)), "mask"),
        (People(("by",)), "mill"),
        (Asked(), "mill"),
        (Words(), "mask"),
        (Affinity(), "mask"),
        (Popularity(), "mill"),
        (Judged(1.0, lambda t: [float(c.item.id == "mask") for c in t.candidates]), "mask"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_part_pulls_in_its_direction_the_more_the_heavier_and_back_with_a_negative_weight(
    part: object, first: str
) -> None:
    mill = item("mill", "wind and flour", year=1950, popularity=9, kind="calm", by="Ada")
    mask = item("mask", "a thief in the night", year=2010, popularity=1, kind="loud", by="Ben")
    seen = Item(ItemId("seen"), "Seen", "a thief in the night again", 2008, {"kind": ("loud",), "by": ("Ada",)})
    memory = Memory.of([mill, mask, seen, *(item(f"x{n}", f"word{n}", popularity=n) for n in range(12))])
    second = "mask" if first == "mill" else "mill"
    asked = task([mill, mask], "Something calm, with a thief?", liked=[seen])

    def gap(weight: float) -> float:
        weighed = replace(part, weight=weight)  # type: ignore[type-var]
        mine = SimulatedLLM(Taste((weighed,)), memory).scores(asked)
        scores = dict(zip(("mill", "mask"), mine, strict=True))
        return float(scores[first] - scores[second])

    assert gap(-1.0) < gap(0.0) == 0.0 < gap(0.5) < gap(2.0)
    assert gap(2.0) == pytest.approx(4 * gap(0.5))


def test_disliked_items_count_against_and_the_last_feeling_counts() -> None:
    calm, loud = item("a", kind="calm", by="Ada"), item("b", kind="loud", by="Ben")
    seen = item("seen", kind="calm", by="Ada")
    for part in (Shared(), People(("by",))):
        llm = SimulatedLLM(Taste((part,)))
        assert llm.scores(task([calm, loud], liked=[seen]))[0] > 0
        assert llm.scores(task([calm, loud], disliked=[seen]))[0] < 0
        turns = (Turn("user", "", (Mention(seen.id, "liked"), Mention(seen.id, "disliked"), Mention(seen.id))),)
        changed = replace(task([calm, loud], liked=[seen]), conversation=Conversation(turns))
        assert llm.scores(changed)[0] < 0


def test_the_words_of_a_linked_title_ask_for_nothing() -> None:
    horror = item("x", kind="night")
    text = "I saw Night Train."
    said = Turn("user", text, (Mention(ItemId("t"), "liked", (6, 17)),))
    linked = replace(task([horror]), conversation=Conversation((said,)))
    llm = SimulatedLLM(Taste((Asked(),)))
    assert llm.scores(linked).tolist() == [0.0]
    assert llm.scores(task([horror], text)).tolist() == [0.5]
    assert llm.scores(task([horror], "nights")).tolist() == [0.5]
    assert llm.scores(task([horror], "knight")).tolist() == [0.0]
    spans = (Mention(ItemId("t"), "liked", (0, 11)), Mention(ItemId("u"), "liked", (16, 27)))
    two = Turn("user", "Night Train and Night Watch", spans)
    assert llm.scores(replace(linked, conversation=Conversation((two,)))).tolist() == [0.0]


def test_years_pull_towards_those_of_liked_items() -> None:
    years = [item(str(year), year=year) for year in (1960, 1980, 2000, 2020)]
    llm = SimulatedLLM(Taste((Era(),)))
    liked = [item("l", year=1983)]
    assert names(llm, task(years, liked=liked)) == ["1980", "2000", "1960", "2020"]
    assert llm.scores(task(years)).tolist() == [0.0] * 4
    assert llm.scores(task(years, disliked=liked)).tolist() == [0.0] * 4
    assert llm.scores(task([item("?"), years[0]], liked=liked))[0] == 0.0


def test_vectors_decide_affinity_when_they_are_given() -> None:
    things = [item("a"), item("b"), item("seen")]
    vectors = np.array([[1.0, 0.0], [0.0, 2.0], [0.1, 9.0]], dtype=np.float32)
    llm = SimulatedLLM(Taste((Affinity(),)), Memory.of(things, vectors=vectors))
    assert names(llm, task(things[:2], liked=things[2:])) == ["b", "a"]
    assert names(llm, task(things[:2], disliked=things[2:])) == ["a", "b"]


# the place in which a candidate is shown


def test_position_bias_is_what_it_says_and_nothing_without() -> None:
    things = [item(f"i{n}") for n in range(5)]
    assert SimulatedLLM(Taste(position_bias=2.0)).scores(task(things)).tolist() == [2.0, 1.5, 1.0, 0.5, 0.0]
    assert SimulatedLLM(Taste(position_bias=2.0)).scores(task(things[:1])).tolist() == [0.0]
    assert SimulatedLLM(Taste(position_bias=0.0)).scores(task(things)).tolist() == [0.0] * 5


def test_position_bias_can_be_measured() -> None:
    def mean_rank_of_the_first(bias: float) -> float:
        llm = SimulatedLLM(Taste(noise=1.0, position_bias=bias), seed=2)
        things = [item(f"i{n}") for n in range(10)]
        ranks = []
        for number in range(600):
            shown = random.Random(number).sample(things, len(things))
            ranks.append(llm.order(task(shown, f"turn {number}")).index(0) + 1)
        return float(np.mean(ranks))

    # Of ten places 5.5 is the mean; its standard error for 600 requests is 0.12.
    none, some, much = (mean_rank_of_the_first(bias) for bias in (0.0, 1.0, 4.0))
    assert none == pytest.approx(5.5, abs=0.5)
    assert much < some - 0.5 < none - 1.0


# memory


def test_of_items_after_the_cut_off_only_the_attributes_count() -> None:
    until = world().newest(0.4)
    late = [i for i in domain().items if (i.year or 0) > until][:20]
    early = [i for i in domain().items if (i.year or 0) <= until]
    texts, fame = [i.text for i in late[::-1]], [i.popularity for i in late[::-1]]
    swapped = [replace(i, text=t, popularity=p) for i, t, p in zip(late, texts, fame, strict=True)]
    taste = Taste((Affinity(), Words(), Popularity(-1.0), Asked(), Shared(1.0, KINDS), Era(years=(1990, 2000))))

    def ranked(shown: Sequence[Item], *, forgets: bool, guess: float = 0.0) -> list[str]:
        memory = Memory.of([*early, *shown], until=until if forgets else None)
        llm = SimulatedLLM(replace(taste, guess=guess), memory)
        return names(llm, task(shown, "A caravan or a harbour at night", liked=early[:2]))

    assert ranked(late, forgets=True) == ranked(swapped, forgets=True)
    assert ranked(late, forgets=True, guess=1.0) == ranked(swapped, forgets=True, guess=1.0)
    assert ranked(late, forgets=False) != ranked(swapped, forgets=False)
    other = [replace(i, attributes=a.attributes) for i, a in zip(late, late[::-1], strict=True)]
    assert ranked(late, forgets=True) != ranked(other, forgets=True)


def test_guesses_are_about_what_is_not_remembered() -> None:
    things = [item(f"i{n}", year=2000 + n) for n in range(10)]
    guessing = SimulatedLLM(Taste(guess=1.0), Memory.of(things, until=2004))
    scores = guessing.scores(task(things))
    assert scores[:5].tolist() == [0.0] * 5
    assert len(set(scores[5:].tolist())) == 5
    assert np.all(guessing.scores(task(things, "hello"))[5:] != scores[5:])


def test_the_memory_of_items_without_a_year_stays() -> None:
    memory = Memory.of([item("a"), item("b", year=1990), item("c", year=1991)], until=1990)
    assert memory.rows_of([item("a"), item("b"), item("c"), item("d")]).tolist() == [0, 1, -1, -1]
    assert Memory.of(()).rows_of([item("a")]).tolist() == [-1]


def test_what_is_not_remembered_counts_as_neither_popular_nor_unpopular() -> None:
    things = [item("a", popularity=1), item("b", popularity=2)]
    llm = SimulatedLLM(Taste((Popularity(2.0),)), Memory.of(things))
    assert llm.scores(task([*things, item("c", popularity=9)])).tolist() == [0.5, 1.5, 1.0]


def test_forgetful_forgets_about_the_newest_third() -> None:
    llm = forgetful(world())
    unknown = [i for i in domain().items if i.id not in llm.memory.rows]
    assert 0.2 < len(unknown) / len(domain().items) < 0.4
    assert min(i.year or 0 for i in unknown) > max(i.year or 0 for i in domain().items if i.id in llm.memory.rows)


# faults


def test_faults_come_as_often_as_they_are_told_to() -> None:
    faults = Faults(truncated=0.1, malformed=0.2, refused=0.05, timeout=0.15)
    llm = SimulatedLLM(PLAIN, faults=faults, seed=9)
    things = [item(f"i{n}") for n in range(6)]
    count, seen = 1500, Counter[str]()

    async def go() -> None:
        for number in range(count):
            asked = CompletionRequest((), task=task(things, f"turn {number}"))
            try:
                text = (await llm.complete(asked)).text
            except (LLMRefused, LLMTimeout) as error:
                seen[type(error).__name__] += 1
                continue
            parsed = parse(text, offered=6, n=6)
            assert sorted(parsed.order) == list(range(6))
            clean = text.endswith("}") and not parsed.report.repaired
            # A cut answer is the beginning of the healthy one; the others are not.
            healthy = json.dumps({"ranking": [1, 2, 3, 4, 5, 6]})[:-1]
            cut = not clean and (healthy.startswith(text) or text.startswith(healthy))
            seen["clean" if clean else "truncated" if cut and not text.endswith("}") else "malformed"] += 1

    anyio.run(go)
    for name, share in (
        ("truncated", 0.1), ("malformed", 0.2), ("LLMRefused", 0.05), ("LLMTimeout", 0.15), ("clean", 0.5),
    ):  # fmt: skip
        assert abs(seen[name] - share * count) < 4 * math.sqrt(share * (1 - share) * count), (name, seen)


def test_answers_break_off_anywhere() -> None:
    llm = SimulatedLLM(PLAIN, faults=Faults(truncated=1.0))
    whole = ask(SimulatedLLM(PLAIN), CompletionRequest((), task=example_task())).text
    cuts = [ask(llm, CompletionRequest((), task=task(PAST, f"turn {n}"))).text for n in range(40)]
    assert all(whole.startswith(text) or text.startswith(whole[:12]) for text in cuts)
    assert len({len(text) for text in cuts}) > 20


def test_a_timeout_passes_in_the_judge_s_time() -> None:
    llm = SimulatedLLM(PLAIN, faults=Faults(timeout=1.0))
    start = time.perf_counter()
    with pytest.raises(LLMTimeout, match="within 60 s"):
        ask(llm, request(example_task(), deadline_s=60.0))
    assert time.perf_counter() - start < 5
    with pytest.raises(LLMRefused):
        ask(SimulatedLLM(PLAIN, faults=Faults(refused=1.0)), request(example_task()))


def test_latency_is_waited_for() -> None:
    start = time.perf_counter()
    completion = ask(SimulatedLLM(PLAIN, latency_s=0.1), request(example_task()))
    assert time.perf_counter() - start >= 0.1
    assert completion.latency_ms >= 100


def test_an_answer_is_cut_at_max_tokens_and_usage_is_counted() -> None:
    asked = request(example_task())
    completion = ask(SimulatedLLM(PLAIN), asked)
    assert completion.usage.calls == 1
    assert completion.usage.prompt_tokens == math.ceil(sum(len(m.content) for m in asked.messages) / 4)
    assert completion.usage.completion_tokens == math.ceil(len(completion.text) / 4)
    short = ask(SimulatedLLM(PLAIN), replace(asked, max_tokens=3))
    assert short.text == completion.text[:12]
    assert short.usage.completion_tokens == 3
    assert len(set(parse(short.text, offered=3, n=2).order)) == 2
    empty = ask(SimulatedLLM(PLAIN), CompletionRequest((), task=example_task()))
    assert min(empty.usage.prompt_tokens, empty.usage.completion_tokens) > 0


# presets


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_useful_and_imperfect(name: str) -> None:
    llm = PRESETS[name](world(), seed=1)
    assert llm.name == name
    tasks = validation_tasks()
    rows = {i.id: at for at, i in enumerate(domain().items)}
    judged, best, shown = [], [], []
    for asked, place, conversation in tasks:
        text = outcome(llm, request(asked))
        judged.append(parse(text, offered=20, n=20).order.index(place) + 1)
        logits = domain().oracle(conversation)[[rows[c.item.id] for c in asked.candidates]]
        best.append(1 + int((logits > logits[place]).sum()))
        shown.append(place + 1)
    mean = {k: float(ndcg_at(v, k=10).mean()) for k, v in (("judged", judged), ("best", best), ("shown", shown))}
    assert mean["shown"] + 0.05 < mean["judged"] < mean["best"] - 0.1, mean


def test_presets_disagree() -> None:
    tasks = [t for t, _, _ in validation_tasks()[:40]]
    firsts = {name: [names(make(world()), t)[0] for t in tasks] for name, make in PRESETS.items()}
    for one, other in ((a, b) for a in firsts for b in firsts if a < b):
        same = sum(x == y for x, y in zip(firsts[one], firsts[other], strict=True))
        assert same < 32, f"{one} and {other} agree on {same} of 40 first places"


def test_hidden_favourites_follow_the_seed() -> None:
    assert world().favourites(1) == world().favourites(1)
    assert len({world().favourites(seed) for seed in range(10)}) > 5
    values = {v for i in domain().items for v in i.attributes["mechanics"]}
    assert world().favourites(1) <= values
    assert len(world().favourites(1)) == 3


# wrong use


def test_wrong_settings_are_refused() -> None:
    for field in ("whim", "guess", "noise", "position_bias"):
        for value in (-0.1, math.nan, math.inf):
            with pytest.raises(InputError, match=field):
                replace(PLAIN, **{field: value})
    with pytest.raises(InputError, match="weight"):
        Taste((Asked(math.nan),))
    with pytest.raises(InputError, match="width"):
        Era(width=0)
    with pytest.raises(InputError, match="refused must be a probability"):
        Faults(refused=1.5)
    with pytest.raises(InputError, match="add up to more than 1"):
        Faults(refused=0.6, timeout=0.6)
    with pytest.raises(InputError, match="latency_s"):
        SimulatedLLM(PLAIN, latency_s=math.inf)


def test_wrong_input_is_refused() -> None:
    things = [item("a"), item("b")]
    llm = SimulatedLLM(PLAIN)
    with pytest.raises(InputError, match="has none"):
        ask(llm, CompletionRequest(()))
    with pytest.raises(InputError, match="no candidates"):
        ask(llm, CompletionRequest((), task=replace(example_task(), candidates=())))
    with pytest.raises(InputError, match="one finite number a candidate"):
        SimulatedLLM(Taste((Judged(1.0, lambda t: [1.0]),))).order(task(things))
    with pytest.raises(InputError, match="come twice"):
        Memory.of([things[0], things[0]])
    with pytest.raises(InputError, match="one row an item"):
        Memory.of(things, vectors=np.ones((3, 2), dtype=np.float32))
    with pytest.raises(InputError, match="not finite"):
        Memory.of(things, vectors=np.full((2, 2), np.nan, dtype=np.float32))
    with pytest.raises(InputError, match="a world needs items"):
        World.of([], kinds=("kind",), people=("by",))
    with pytest.raises(InputError, match="no item has a year"):
        World.of(things, kinds=("kind",), people=("by",)).newest(0.3)
