"""A language model's answer is held to the vocabulary; whatever goes wrong, the rules read."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from rarec.constraints import Constraints, Unenforced, Vocabulary, understand, understand_with
from rarec.errors import LLMUnavailable
from rarec.llm import LLM, HttpLLM
from rarec.testing import FakeOpenAIServer, ScriptedLLM
from rarec.types import Conversation, Item, ItemId, Turn

ITEMS = [
    Item(ItemId(f"g{k}"), f"Game {k}", year=1990 + k, attributes={"kind": (kind,)})
    for k, kind in enumerate(("Auction", "Deck Building", "Dice", "Bluffing") * 3)
]
VOCABULARY = Vocabulary(ITEMS)
TALK = Conversation((Turn("user", "no dice, please"), Turn("assistant", "Sure."), Turn("user", "late nineties")))


def entry(attribute: str, values: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    usual = {"negated": False, "soft": False, "year_min": None, "year_max": None, "quote": ""}
    return {"attribute": attribute, "values": list(values), **usual, **more}


def ask(llm: LLM, talk: Conversation = TALK, **options: Any) -> Constraints:
    return anyio.run(lambda: understand_with(llm, talk, VOCABULARY, **options))


def answer(*entries: object) -> str:
    return json.dumps({"constraints": entries})


def test_a_sound_answer_becomes_constraints() -> None:
    llm = ScriptedLLM(
        [
            answer(
                entry("kind", ("dice",), negated=True, quote="no dice"),
                entry("year", year_min=1996, year_max=1999, quote="late nineties"),
                entry("kind", ("deckbuilding",), soft=True),
            )
        ]
    )
    found = ask(llm)
    assert found.summary() == "not Dice · 1996-1999 · maybe Deck Building"
    assert [(p.turn, p.span) for p in found.parts] == [(0, (0, 7)), (2, (0, 13)), (2, (0, 0))]
    assert (found.source, found.reason) == ("model", "")
    assert llm.requests[0].messages[1].content == "user: no dice, please\nuser: late nineties", (
        "what an assistant says may be an item's words, and is not read"
    )
    assert len({part.id for part in found.parts}) == 3
    schema = llm.requests[0].schema
    assert schema is not None
    assert schema["properties"]["constraints"]["items"]["properties"]["attribute"]["enum"] == ["kind", "year"]


@pytest.mark.parametrize(
    "wrong",
    [
        entry("colour", ("red",)),
        entry("kind", ("Croquet",)),
        entry("kind"),
        entry("year", year_min=2000, year_max=1990),
        entry("year", year_min=1990, negated=True),
        entry("year", year_min="1990"),
        entry("kind") | {"values": 7},
        {},
    ],
)
def test_what_is_not_in_the_vocabulary_is_reported_and_not_used(wrong: dict[str, Any]) -> None:
    found = ask(ScriptedLLM([answer(wrong, entry("kind", ("Dice",)))]))
    assert [part.label for part in found.parts] == ["Dice"]
    assert len(found.unenforced) == 1
    assert isinstance(found.unenforced[0], Unenforced)


@pytest.mark.parametrize(
    "script",
    [
        "no JSON",
        "[]",
        '{"constraints": 3}',
        '{"constraints": [3]}',
        "[" * 100_000,
        LLMUnavailable("down"),
        KeyError("x"),
    ],
)
def test_any_failure_falls_back_on_the_rules(script: str | Exception) -> None:
    found = ask(ScriptedLLM([script]))
    assert found.reason
    assert (found.parts, found.source) == (understand(TALK, VOCABULARY).parts, "rules")
    assert found.summary() == "not Dice · 1997-1999"


def test_a_slow_model_is_not_waited_for() -> None:
    assert ask(ScriptedLLM([answer()], latency_s=60), deadline_s=0.05).source == "rules"


def test_nothing_said_asks_no_model() -> None:
    llm = ScriptedLLM([])
    assert ask(llm, Conversation((Turn("assistant", "Dice?"), Turn("user", " ")))) == Constraints()
    assert not llm.requests


@pytest.mark.parametrize(("quote", "hard"), [("NO DICE", True), (" no dice ", True), ("no cards", False), ("", False)])
def test_only_what_the_user_says_is_enforced(quote: str, hard: bool) -> None:
    """An assistant's words and a model's inventions are shown at most."""
    found = ask(ScriptedLLM([answer(entry("kind", ("Dice",), negated=True, quote=quote))]))
    assert [part.hard for part in found.parts] == [hard]
    assert not ask(ScriptedLLM([answer(entry("kind", ("Dice",), quote="Sure."))])).hard


def test_what_was_taken_back_stays_so_until_it_is_said_again() -> None:
    def read(quote: str) -> Constraints:
        return ask(ScriptedLLM([answer(entry("kind", ("Dice",), negated=True, quote=quote))]))

    taken_back = [read("no dice").parts[0].id]
    assert read("dice").without(taken_back).parts == ()
    assert read("late").without(taken_back).parts, "a later turn says it anew"
    assert [part.label for part in understand(TALK, VOCABULARY).without(taken_back).parts] == ["1997-1999"], (
        "the rules read in the model's place"
    )
    assert read("dice").without(["0:0:kind:not", "x", ":", "9" * 5000 + ":0:kind:not Dice"]).parts


def test_a_long_conversation_is_asked_about_by_its_newest_turns() -> None:
    llm = ScriptedLLM([answer()])
    turns = [Turn("user", f"number {k} " + "word " * 4000) for k in range(9)]
    assert ask(llm, Conversation(tuple(turns))).source == "model"
    prompt = llm.requests[0].messages[1].content
    assert "number 8" in prompt
    assert "number 0" not in prompt


def test_over_http_with_structured_output() -> None:
    with FakeOpenAIServer([answer(entry("kind", ("Auction",), quote="no dice"))]) as server:
        llm = HttpLLM("any", base_url=server.url, api_key="key")

        async def go() -> Constraints:
            try:
                return await understand_with(llm, TALK, VOCABULARY)
            finally:
                await llm.aclose()

        found = anyio.run(go)
        sent = server.requests_to("completions")[0].body
    assert found.filters.any_of == {"kind": ("Auction",)}
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["constraints"]
