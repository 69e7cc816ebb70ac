"""The ledger: bit-exact, each prompt once, whole after any cut, and of one recipe."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rarec.align.ledger import Accepted, Ledger, LedgerHeader, Prompt, read_ledger
from rarec.align.rollout import Rollout
from rarec.errors import StoreError
from rarec.llm.budget import Spend
from rarec.types import ItemId, Message, ParseReport, Usage

A, B = ItemId("a"), ItemId("b")
PROMPT = Prompt("f00d", (Message("system", "Rank."), Message("user", "Calm é \ud83d?")))
ROLLOUT = Rollout(
    3, "turn é", 1, (B,), (A, B), (B, A), -math.pi * 1e-300, 0.1 + 0.2, 40, "f00d",
    model="m-1", answer='{"ranking": [1]} \ud83d', named=1, report=ParseReport(1, 2, 3, True), ranking=(B, A),
    reward=1 / 3, parts={"mrr@10": 1 / 7}, usage=Usage(1, 900, 41), latency_ms=31.25,
    spend=Spend(1, 941, 12_345_678_901_234), cached=True,
)  # fmt: skip
FAILED = replace(
    ROLLOUT, group=2, answer="", model="", named=0, report=None, ranking=(), reward=None, parts={}, usage=Usage(),
    latency_ms=None, cached=False, degraded=True, reason="no answer within 1 s",
)  # fmt: skip


def every_field(rollout: Rollout) -> tuple[object, ...]:
    return (rollout, rollout.latency_ms, rollout.spend, rollout.cached)


def test_a_rollout_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.jsonl"
    Ledger(path, recipe="r").add([ROLLOUT, FAILED], [PROMPT])
    ledger = Ledger(path, recipe="r")
    found = ledger.find(ROLLOUT.key)
    assert found is not None
    assert every_field(found) == every_field(ROLLOUT)
    assert ledger.find((3, "turn é", 0)) is None
    header, *records = read_ledger(path)
    assert header == LedgerHeader("r", 1)
    assert records == [PROMPT, ROLLOUT, FAILED]
    assert [every_field(r) for r in records[1:] if isinstance(r, Rollout)] == [
        every_field(ROLLOUT),
        every_field(FAILED),
    ]
    path.read_bytes().decode("ascii")


def test_tokens_that_the_provider_did_not_count_are_told_apart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", recipe="r")
    ledger.add([ROLLOUT])
    assert (ledger.spent.tokens, ledger.bounded_tokens) == (941, 0)
    ledger.add([FAILED])
    assert (ledger.spent.tokens, ledger.bounded_tokens) == (1882, 941)
    assert Ledger(ledger.path, recipe="r").bounded_tokens == 941


def test_a_prompt_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, recipe="r")
    assert not ledger.has_prompt("f00d")
    ledger.add([ROLLOUT], [PROMPT, PROMPT])
    ledger.add([replace(ROLLOUT, group=5)], [PROMPT])
    Ledger(path, recipe="r").add([replace(ROLLOUT, group=6)], [PROMPT])
    assert ledger.has_prompt("f00d")
    assert sum(isinstance(record, Prompt) for record in read_ledger(path)) == 1


def test_what_was_added_is_found_at_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", recipe="r")
    for group in range(5):
        ledger.add([replace(ROLLOUT, group=group, reward=float(group))], [PROMPT])
    rewards = [found.reward for group in range(5) if (found := ledger.find((3, "turn é", group)))]
    assert rewards == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(ledger) == 5


def test_a_degraded_rollout_is_asked_again_until_it_is_accepted_or_answered(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    other = replace(FAILED, group=4)
    Ledger(path, recipe="r").add([FAILED, other])
    ledger = Ledger(path, recipe="r")
    assert (ledger.find(FAILED.key), len(ledger)) == (None, 0)
    ledger.accept(3, [("turn é", 2), ("turn é", 1)])
    ledger.add([replace(ROLLOUT, group=4)])
    for found in (ledger, Ledger(path, recipe="r")):
        assert found.find(FAILED.key) == FAILED
        assert found.find(other.key) == replace(ROLLOUT, group=4)
        assert len(found) == 2
    assert [r for r in read_ledger(path) if isinstance(r, Accepted)] == [Accepted(3, (("turn é", 2),))]
    size = path.stat().st_size
    ledger.accept(3, [("turn é", 2)])
    assert path.stat().st_size == size, "nothing new to accept"


def test_a_line_cut_at_any_byte_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, recipe="r").add([ROLLOUT], [PROMPT])
    kept = path.stat().st_size
    second, third = replace(ROLLOUT, group=2), replace(ROLLOUT, group=3)
    Ledger(path, recipe="r").add([second])
    whole = path.read_bytes()
    for end in range(kept + 1, len(whole), 7):
        path.write_bytes(whole[:end])
        ledger = Ledger(path, recipe="r")
        assert ledger.find(ROLLOUT.key) == ROLLOUT
        assert ledger.find(second.key) is None
        ledger.add([third])
        assert ledger.find(third.key) == third
        again = Ledger(path, recipe="r")
        assert (again.find(ROLLOUT.key), again.find(third.key)) == (ROLLOUT, third)


def test_a_cut_header_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, recipe="r")
    header = path.read_bytes()
    for end in range(len(header) - 1):
        path.write_bytes(header[:end])
        Ledger(path, recipe="r").add([ROLLOUT])
        assert Ledger(path, recipe="r").find(ROLLOUT.key) == ROLLOUT
        with pytest.raises(StoreError, match="another run"):
            Ledger(path, recipe="s")


def test_a_damaged_line_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, recipe="r").add([ROLLOUT])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "rollout", "turn": 3}\n[1]\n\n{"kind": "song"}\n')
    with caplog.at_level(logging.WARNING):
        assert len(Ledger(path, recipe="r")) == 1
    assert "lines 3, 4, 6 of" in caplog.text
    assert "paid for, again" in caplog.text


def test_a_damaged_prompt_asks_for_nothing_and_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, recipe="r").add([ROLLOUT], [PROMPT])
    path.write_bytes(path.read_bytes().replace(b'"messages"', b'"messages'))
    with caplog.at_level(logging.WARNING):
        ledger = Ledger(path, recipe="r")
    assert (len(ledger), ledger.broken, caplog.text) == (1, [], "")


def test_a_ledger_of_another_recipe_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, recipe="r")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"of another run \(with another recipe, bundle or data; .*with --out"):
        Ledger(path, recipe="s", parts={"loop.batch": 8})
    assert path.read_bytes() == before


def test_a_ledger_of_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    parts = {"loop.batch": 8, "learner.beta": None, "reward.mrr": 1.0, "prompt": "long" * 99, "seeds": [1]}
    Ledger(path, recipe="r", parts=parts)
    Ledger(path, recipe="r", parts={})
    assert next(iter(read_ledger(path))) == LedgerHeader("r", 1, parts)

    def refused(**other: object) -> str:
        with pytest.raises(StoreError) as caught:
            Ledger(path, recipe="s", parts={**parts, **{name.replace("__", "."): v for name, v in other.items()}})
        return str(caught.value)

    assert "(loop.batch is 16, and was 8; learner.beta is 0.1, and was not set)" in refused(
        loop__batch=16, learner__beta=0.1
    )
    assert '(name is "é", and was not set)' in refused(name="é")
    assert len(refused(prompt="short" * 99)) < 400
    assert "so the conversations, items or events are not" in refused()


def test_a_ledger_of_before_there_were_parts_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"kind": "header", "version": 1, "recipe": "r"}\n', encoding="utf-8")
    Ledger(path, recipe="r", parts={"loop.batch": 8}).add([ROLLOUT], [PROMPT])
    assert Ledger(path, recipe="r", parts={"loop.batch": 8}).find(ROLLOUT.key) == ROLLOUT
    with pytest.raises(StoreError, match="it does not tell which"):
        Ledger(path, recipe="s", parts={"loop.batch": 8})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title,year\nTide,1999\n", "no ledger"),
        ('{"kind": "accepted", "iteration": 0, "rollouts": []}\n', "begins with no header"),
        ('{"kind": "header", "version": 2, "recipe": "r"}\n', "version 2.*later rarec"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=message):
        Ledger(path, recipe="r")
    with pytest.raises(StoreError, match=message):
        list(read_ledger(path))
    with pytest.raises(StoreError, match="no ledger"):
        list(read_ledger(tmp_path / "missing"))


def test_what_was_spent_before_is_claimed_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path, recipe="r")
    first.add([ROLLOUT, FAILED, replace(FAILED, spend=Spend(1))])
    assert first.claim() == Spend(), "this process booked it when it happened"
    again = Ledger(path, recipe="r")
    assert again.spent == again.claim() == ROLLOUT.spend + FAILED.spend + Spend(1)
    assert again.claim() == Spend()


def test_a_file_that_changed_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, recipe="r")
    ledger.add([ROLLOUT])
    path.write_bytes(b"\n" + path.read_bytes())
    with pytest.raises(StoreError, match="was changed while it was open"):
        ledger.find(ROLLOUT.key)
