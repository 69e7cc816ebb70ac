"""Answers on disk: found again, paid once, and whole whatever happens to the last line."""

import json
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from rarec.errors import LLMUnavailable, StoreError
from rarec.llm.cached import AnswerFile, CachedLLM, request_key
from rarec.testing import ScriptedLLM, example_task
from rarec.types import Completion, CompletionRequest, Message, Usage

REQUEST = CompletionRequest((Message("system", "Rank."), Message("user", "Calm ones?")), {"type": "object"})
ANSWER = Completion('{"reply": "é \ud83d"}', "m-1", Usage(1, 120, 7), 31.5)  # half of a surrogate pair too


def ask(llm: CachedLLM, *requests: CompletionRequest) -> list[str]:
    async def go() -> list[str]:
        texts = [""] * len(requests)

        async def one(place: int) -> None:
            texts[place] = (await llm.complete(requests[place])).text

        async with anyio.create_task_group() as group:
            for place in range(len(requests)):
                group.start_soon(one, place)
        return texts

    return anyio.run(go)


def test_the_key_is_what_an_answer_depends_on_and_nothing_else() -> None:
    key = request_key("m", REQUEST)
    others = [
        request_key("n", REQUEST),
        request_key("m", replace(REQUEST, messages=(Message("user", "Rank."), Message("user", "Calm ones?")))),
        request_key("m", replace(REQUEST, messages=REQUEST.messages[::-1])),
        request_key("m", replace(REQUEST, schema=None)),
        request_key("m", replace(REQUEST, max_tokens=9)),
        request_key("m", replace(REQUEST, temperature=0.5)),
        request_key("m", replace(REQUEST, task=example_task(n=1))),
        request_key("m", replace(REQUEST, task=example_task(n=2))),
    ]
    assert len({key, *others}) == 9
    assert request_key("m", replace(REQUEST, deadline_s=1.0)) == key
    assert request_key("m", replace(REQUEST, schema={"type": "object"})) == key


def test_an_answer_is_found_again_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    AnswerFile(path).add("k", ANSWER)
    again = AnswerFile(path)
    assert again.get("k") == ANSWER
    assert again.get("other") is None
    assert (len(again), again.damaged) == (1, 0)
    again.add("k", replace(ANSWER, text="later"))
    found = AnswerFile(path).get("k")
    assert found is not None
    assert found.text == "later"


def test_a_line_cut_at_any_byte_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    AnswerFile(path).add("first", ANSWER)
    kept = path.read_bytes()
    AnswerFile(path).add("second", replace(ANSWER, text="second"))
    whole = path.read_bytes()
    for end in range(len(kept) + 1, len(whole)):
        path.write_bytes(whole[:end])
        answers = AnswerFile(path)
        assert answers.get("first") == ANSWER
        assert (answers.get("second") is None) == (end < len(whole) - 1), "only its line break may be missing"
        answers.add("third", replace(ANSWER, text="third"))
        again = AnswerFile(path)
        assert again.get("first") == ANSWER
        third = again.get("third")
        assert third is not None
        assert third.text == "third"


@pytest.mark.parametrize(
    "line", ["null", "{}", "[1]", '"k"', '{"key": 1}', "\x00", "[" * 5000, '{"key": "k", "text": 1}']
)
def test_lines_that_are_no_answers_are_counted_and_passed_over(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    AnswerFile(path).add("k", ANSWER)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    AnswerFile(path).add("l", ANSWER)
    answers = AnswerFile(path)
    assert (len(answers), answers.damaged) == (2, 1)


def test_a_file_that_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the answers"):
        AnswerFile(tmp_path)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot read the answers"):
        AnswerFile(tmp_path / "file" / "answers.jsonl")


def test_a_request_is_paid_once(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    llm = CachedLLM(ScriptedLLM(["one", "two"], name="m"), AnswerFile(path))
    other = replace(REQUEST, max_tokens=9)
    assert ask(llm, REQUEST, other, REQUEST) == ["one", "two", "one"]
    assert llm.asked == 2
    resumed = CachedLLM(ScriptedLLM([], name="m"), AnswerFile(path))
    assert ask(resumed, REQUEST) == ["one"]
    assert resumed.asked == 0
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_equal_requests_at_one_time_wait_for_the_first(tmp_path: Path) -> None:
    inner = ScriptedLLM(["one"], latency_s=0.05)
    llm = CachedLLM(inner, AnswerFile(tmp_path / "a.jsonl"))
    assert ask(llm, REQUEST, REQUEST, REQUEST) == ["one"] * 3
    assert len(inner.requests) == 1


def test_failures_are_not_kept_and_the_text_is_shown_from_the_file_too(tmp_path: Path) -> None:
    llm = CachedLLM(ScriptedLLM([LLMUnavailable("busy"), "one"], name="m"), AnswerFile(tmp_path / "a.jsonl"))
    with pytest.raises(LLMUnavailable, match="busy"):
        anyio.run(llm.complete, REQUEST)
    shown: list[str] = []

    async def listen() -> Completion:
        return await llm.complete(REQUEST, on_text=shown.append)

    first, second = anyio.run(listen), anyio.run(listen)
    assert first == second
    assert "".join(shown) == "oneone"
    assert llm.name == "m"
    anyio.run(llm.aclose)


def test_a_line_is_ascii_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    AnswerFile(path).add("k", ANSWER)
    record = json.loads(path.read_bytes().decode("ascii"))
    assert set(record) == {"key", "text", "model", "usage", "latency_ms"}
