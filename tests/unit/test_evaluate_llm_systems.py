"""Language models as systems: what they are shown, what is made of their answers, what is counted."""

import asyncio
import json
import logging
from collections.abc import Sequence

import pytest

from rarec.conversations import Example
from rarec.errors import InputError, LLMRefused, LLMTimeout
from rarec.evaluate.asking import Asking, ask_all
from rarec.evaluate.llm_systems import LLMAlone, RankedByLLM
from rarec.evaluate.predictions import Answer, Call
from rarec.evaluate.systems import GeneratingSystem, ScoredSystem, Scores
from rarec.llm.budget import Prices
from rarec.llm.protocol import OnText
from rarec.testing import ScriptedLLM
from rarec.types import Completion, CompletionRequest, Conversation, Item, ItemId, Mention, Turn, Usage

TITLES = ("Low Tide", "Marzipan", "Paper Lions", "The Tin Orchestra", "Ash and Honey", "Orchard Street")
ITEMS = tuple(
    Item(ItemId(title[0].lower()), title, year=1990 + place, popularity=10.0 - place)
    for place, title in enumerate(TITLES)
)
LOW, MARZIPAN, PAPER, TIN, ASH, ORCHARD = (item.id for item in ITEMS)


def example(name: str, *mentioned: ItemId) -> Example:
    mentions = tuple(Mention(item) for item in mentioned)
    conversation = Conversation((Turn("user", f"Something calm for {name}?", mentions),), id="dialogue")
    return Example(name, 0, "d", "t", conversation, (PAPER,), frozenset(), mentioned)


class Fixed:
    """A system that ranks items in a given order."""

    name = "fixed"

    def __init__(self, *order: ItemId) -> None:
        self._order = order
        self.asked: list[int] = []

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        self.asked.append(n)
        return [self._order[:n] for _ in examples]


class Rising(ScoredSystem):
    """Scores every item by its place, the last best."""

    def scores(self, examples: Sequence[Example]) -> Scores:
        import numpy as np

        return np.tile(np.arange(len(self.ids), dtype=np.float32), (len(examples), 1))


ALL = Fixed(*(item.id for item in ITEMS))


def ranking(*numbers: object) -> str:
    return json.dumps({"ranking": numbers, "reply": "Try [1]."})


def test_both_are_generating_systems() -> None:
    llm = ScriptedLLM([], name="m")
    for system in (RankedByLLM(ALL, llm, ITEMS), LLMAlone(llm, ITEMS)):
        assert isinstance(system, GeneratingSystem)
    assert RankedByLLM(ALL, llm, ITEMS).name == "fixed+m"
    assert LLMAlone(llm, ITEMS).name == "m alone"
    assert LLMAlone(llm, ITEMS, name="alone").name == "alone"


def test_the_model_orders_the_first_candidates_and_the_rest_follows() -> None:
    llm = ScriptedLLM([Completion(ranking(3, 1), "m", Usage(1, 1000, 200), 40.0)])
    asking = Asking(prices=Prices(2.5, 10.0))
    system = RankedByLLM(ALL, llm, ITEMS, candidates=3, n=2, asking=asking)
    (answer,) = system.answers([example("a", MARZIPAN)], n=5)
    # Candidates are what is not mentioned: Low Tide, Paper Lions, The Tin Orchestra.
    assert answer.items == (TIN, LOW, PAPER, MARZIPAN, ASH)
    assert answer.call == Call(
        latency_ms=40.0, input_tokens=1000, output_tokens=200, cost_usd=0.0045, named=2, answer=ranking(3, 1)
    )
    (request,) = llm.requests
    assert request.task is not None
    assert [c.item.id for c in request.task.candidates] == [LOW, PAPER, TIN]
    assert [c.score for c in request.task.candidates] == [1.0, 1 / 3, 1 / 4]
    assert set(request.task.mentioned) == {MARZIPAN}
    assert request.schema is not None
    assert "[3] The Tin Orchestra (1993)" in request.messages[1].content
    assert "Mentioned: Marzipan (1991)" in request.messages[1].content


def test_a_scored_system_gives_its_scores_and_its_own_list() -> None:
    llm = ScriptedLLM([ranking(2, 1), ranking(1, 2)])
    system = RankedByLLM(Rising("rising", ITEMS), llm, ITEMS, candidates=2, n=2)
    examples = [example("a", ORCHARD), example("b")]
    first, second = system.rank(examples, n=4)
    assert first == (TIN, ASH, ORCHARD, PAPER)
    assert second == (ORCHARD, ASH, TIN, PAPER)
    tasks = [request.task for request in llm.requests]
    assert [[(c.item.id, c.score) for c in task.candidates] for task in tasks if task] == [
        [(ASH, 4.0), (TIN, 3.0)], [(ORCHARD, 5.0), (ASH, 4.0)],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "items", "counts"),
    [
        (ranking(2, 2, 9), (MARZIPAN, LOW, PAPER), Call(named=3, ungrounded=1, repeated=1, repaired=True)),
        ("I like [3] most.", (PAPER, LOW, MARZIPAN), Call(named=1, repaired=True)),
        ("No idea.", (LOW, MARZIPAN, PAPER), Call(repaired=True, degraded=True)),
        (ranking(7, 8), (LOW, MARZIPAN, PAPER), Call(named=2, ungrounded=2, repaired=True, degraded=True)),
    ],
)
def test_what_is_repaired_is_counted(text: str, items: tuple[ItemId, ...], counts: Call) -> None:
    system = RankedByLLM(ALL, ScriptedLLM([Completion(text, "m")]), ITEMS, candidates=3, n=2)
    (answer,) = system.answers([example("a")], n=3)
    assert answer.items == items
    assert answer.call is not None
    assert answer.call.answer == text
    assert (answer.call.latency_ms, answer.call.input_tokens, answer.call.cost_usd) == (None, None, None)
    for name in ("named", "ungrounded", "repeated", "repaired", "degraded"):
        assert getattr(answer.call, name) == getattr(counts, name), name


def test_a_failing_model_leaves_the_order_degraded_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rarec.llm.asking")
    answers: list[Exception | str] = [LLMRefused("not today"), ranking(2, 1), LLMTimeout("late")]
    system = RankedByLLM(ALL, ScriptedLLM(answers, name="m"), ITEMS, n=2, asking=Asking(concurrency=1))
    found = system.answers([example("a"), example("b"), example("c")], n=2)
    assert [answer.items for answer in found] == [(LOW, MARZIPAN), (MARZIPAN, LOW), (LOW, MARZIPAN)]
    assert [answer.call.degraded for answer in found if answer.call] == [True, False, True]
    assert [answer.call.failure for answer in found if answer.call] == ["not today", "", "late"]
    assert [record.getMessage() for record in caplog.records] == [
        "m did not answer: not today", "m did not answer: late",
    ]  # fmt: skip
    assert {record.levelno for record in caplog.records} == {logging.INFO}, "who asks says once how many there were"


def test_a_model_that_ignores_its_deadline_is_given_up() -> None:
    class Slow(ScriptedLLM):
        async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
            await asyncio.sleep(30)
            raise AssertionError

    (answer,) = RankedByLLM(ALL, Slow([]), ITEMS, asking=Asking(deadline_s=0.05)).answers([example("a")], n=2)
    assert answer.items == (LOW, MARZIPAN)
    assert answer.call is not None
    assert answer.call.degraded
    assert answer.call.latency_ms == pytest.approx(50, abs=2000)


def test_a_mistake_in_a_model_is_raised() -> None:
    system = RankedByLLM(ALL, ScriptedLLM([ZeroDivisionError("oops")]), ITEMS)
    with pytest.raises(ZeroDivisionError, match="oops"):
        system.answers([example("a"), example("b")], n=2)


def test_nothing_to_choose_from_is_not_asked() -> None:
    llm = ScriptedLLM([ranking(1)])
    everything = tuple(item.id for item in ITEMS)
    found = RankedByLLM(ALL, llm, ITEMS).answers([example("a", *everything)], n=2)
    assert found == [Answer((LOW, MARZIPAN))]
    assert llm.requests == []
    assert RankedByLLM(ALL, llm, ITEMS).answers([], n=2) == []


class Counting:
    """Answers later examples sooner, and keeps the largest number of requests in flight."""

    name = "counting"

    def __init__(self, total: int) -> None:
        self.now = self.most = 0
        self._left = total
        self.closed = 0

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        self.now += 1
        self.most = max(self.most, self.now)
        self._left -= 1
        await asyncio.sleep(0.004 * self._left)
        self.now -= 1
        assert request.task is not None
        return Completion(request.task.conversation.turns[0].text, self.name)

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_the_limit_is_held_and_answers_keep_the_order_of_the_examples(concurrency: int) -> None:
    llm = Counting(12)
    system = LLMAlone(llm, ITEMS, asking=Asking(concurrency=concurrency))
    found = system.answers([example(f"e{place}") for place in range(12)], n=3)
    assert [answer.call.answer for answer in found if answer.call] == [
        f"Something calm for e{place}?" for place in range(12)
    ]
    assert llm.most == min(concurrency, 12)
    assert llm.closed == 1, "connections belong to the loop that ends"


def test_it_may_be_called_where_an_event_loop_runs() -> None:
    async def notebook() -> list[Answer]:
        return LLMAlone(ScriptedLLM(["1. Marzipan"]), ITEMS).answers([example("a")], n=3)

    assert asyncio.run(notebook())[0].items == (MARZIPAN,)
    assert ask_all(ScriptedLLM([]), [], concurrency=1) == []


def test_titles_become_items_and_what_is_none_is_counted() -> None:
    text = json.dumps({"recommendations": ["Marzipan (1991)", "the tin orchestra", "Marzipan", "Grey Owls (1999)"]})
    llm = ScriptedLLM([Completion(text, "m", Usage(1, 50, 30), 12.0)], name="m")
    system = LLMAlone(llm, ITEMS, titles=4, kind="books", asking=Asking(prices=Prices(1.0, 1.0)))
    (answer,) = system.answers([example("ex-7", MARZIPAN)], n=10)
    assert answer.items == (MARZIPAN, TIN), "mentioned items stay: they are removed in scoring"
    assert answer.call == Call(12.0, 50, 30, 80e-6, 4, 1, 1, True, False, text)
    (request,) = llm.requests
    assert "4 best books" in request.messages[0].content
    assert "Low Tide" not in "".join(message.content for message in request.messages), "no candidates are shown"
    assert request.task is not None
    assert (request.task.conversation.id, request.task.candidates) == ("ex-7", ())


def test_a_clean_list_is_not_repaired_and_is_cut_at_n() -> None:
    text = json.dumps({"recommendations": ["Marzipan (1991)", "Low Tide"]})
    (answer,) = LLMAlone(ScriptedLLM([text]), ITEMS, titles=2).answers([example("a")], n=1)
    assert answer.items == (MARZIPAN,)
    assert answer.call is not None
    assert not answer.call.repaired


def test_alone_there_is_nothing_to_fall_back_on() -> None:
    found = LLMAlone(ScriptedLLM([LLMTimeout("late"), "Hm."]), ITEMS, asking=Asking(concurrency=1)).answers(
        [example("a"), example("b")], n=3
    )
    assert [answer.items for answer in found] == [(), ()]
    assert [answer.call.degraded for answer in found if answer.call] == [True, False]


def test_wrong_settings_are_refused_before_anything_is_paid() -> None:
    llm = ScriptedLLM([])
    with pytest.raises(InputError, match="candidates and n must be at least 1, got 0 and 20"):
        RankedByLLM(ALL, llm, ITEMS, candidates=0)
    with pytest.raises(InputError, match="titles must be at least 1"):
        LLMAlone(llm, ITEMS, titles=0)
    with pytest.raises(InputError, match="'l' twice"):
        LLMAlone(llm, (*ITEMS, ITEMS[0]))
    with pytest.raises(InputError, match="concurrency"):
        Asking(concurrency=0)
    with pytest.raises(InputError, match="prices must be at least 0, got -1"):
        Prices(-1, 0)
    with pytest.raises(InputError, match="'fixed' ranked 'l' for 'a', which is not in the catalogue"):
        RankedByLLM(ALL, llm, ITEMS[1:]).answers([example("a")], n=2)
    for system in (RankedByLLM(ALL, llm, ITEMS), LLMAlone(llm, ITEMS)):
        with pytest.raises(InputError, match="n must be at least 1, got 0"):
            system.answers([example("a")], n=0)
    assert llm.requests == []


def test_costs_need_both_counts() -> None:
    assert Prices(2.0, 8.0).cost(500_000, 250_000) == 3.0
    assert Prices(2.0, 8.0).cost(None, 5) is None
    assert Prices(0.0, 0.0).cost(5, 0) == 0.0
