"""Places, buckets, problems and log lines, without a server."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import rarec.errors
from rarec.errors import InputError, RarecError, StoreError, UnknownItem
from rarec.service.chat_documents import ChatIn
from rarec.service.limits import Buckets, Places
from rarec.service.logs import JsonLines, described
from rarec.service.problems import KINDS, Problem, invalid, kind_of, problem_of, response, wrong_values


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# --- buckets


def test_a_bucket_is_full_at_first_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(60, 2, clock=clock)
    assert [buckets.take("10.0.0.1") for _ in range(3)] == [0.0, 0.0, 1.0]
    assert buckets.take("10.0.0.2") == 0.0
    clock.now = 0.5
    assert buckets.take("10.0.0.1") == pytest.approx(0.5)
    clock.now = 1.0
    assert buckets.take("10.0.0.1") == 0.0
    assert buckets.take("10.0.0.1") > 0


def test_no_rate_is_no_limit_and_networks_count_as_one() -> None:
    assert [Buckets(0, 1).take("x") for _ in range(50)] == [0.0] * 50
    buckets = Buckets(60, 1, clock=Clock())
    assert buckets.take("2001:db8::1") == 0.0
    assert buckets.take("2001:db8::2") > 0
    assert buckets.take("2001:db8:0:1::2") == 0.0


def test_addresses_are_not_remembered_without_end() -> None:
    buckets = Buckets(60, 1, most=3, clock=Clock())
    for number in range(50):
        buckets.take(f"10.0.0.{number}")
    assert len(buckets._buckets) == 3
    assert buckets.take("10.0.0.49") > 0


@given(st.lists(st.floats(0, 10), max_size=60), st.integers(1, 600), st.integers(1, 20))
def test_never_more_than_the_burst_and_what_was_filled(pauses: list[float], rate: int, burst: int) -> None:
    clock = Clock()
    buckets = Buckets(rate, burst, clock=clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        wait_s = buckets.take("x")
        taken += wait_s == 0
        assert 0 <= wait_s <= 60 / rate + 1e-9
    assert taken <= burst + clock.now * rate / 60 + 1e-6


# --- places


def test_places_are_bounded_and_go_to_whoever_waits() -> None:
    async def scene() -> None:
        seen: list[int] = []
        places = Places(1, queue=1, timeout_s=60, changed=seen.append)
        await places.enter()
        waiting = asyncio.create_task(places.enter())
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="1 wait"):
            await places.enter()
        places.leave()
        await waiting
        places.leave()
        assert (places.taken, places.waiting, seen) == (0, 0, [1, 0, 1, 0])

    asyncio.run(scene())


def test_one_that_is_given_up_while_it_waits_takes_no_place() -> None:
    async def scene() -> None:
        places = Places(1, queue=5, timeout_s=60)
        await places.enter()
        waiting = asyncio.create_task(places.enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert places.waiting == 0
        places.leave()
        await asyncio.wait_for(places.enter(), 10)

    asyncio.run(scene())


# --- problems


def test_every_error_of_ours_has_a_row_or_a_parent_that_has() -> None:
    ours = [e for e in vars(rarec.errors).values() if isinstance(e, type) and issubclass(e, RarecError)]
    assert len(ours) > 10
    for error in ours:
        assert 400 <= kind_of(error("x")).status < 600
        assert any(parent in KINDS for parent in error.__mro__[:3])


def test_what_speaks_of_the_inside_is_not_passed_on() -> None:
    assert "secret" not in problem_of(StoreError("/secret/path is damaged")).detail
    assert "secret" not in problem_of(RuntimeError("secret")).detail
    assert problem_of(InputError("n must be at least 1")).detail == "n must be at least 1"
    assert (problem_of(UnknownItem("x")).status, problem_of(StoreError("x")).headers) == (404, {"Retry-After": "5"})


def test_places_name_no_types_of_this_code() -> None:
    for content in ("\ud800", 7, [{"type": "text", "text": 7}]):
        with pytest.raises(ValidationError) as caught:
            ChatIn.model_validate({"model": "rarec", "messages": [{"role": "user", "content": content}]})
        wrong = wrong_values(caught.value.errors())
        assert {one.where for one in wrong} <= {"messages.0.content", "messages.0.content.0.text"}
    (other,) = wrong_values([{"loc": ("body", "any_of", "list[x"), "msg": "Input should be a list"}])
    assert (other.where, other.detail) == ("any_of.list[x", "must be a list")


@given(st.text(), st.text())
def test_any_words_make_a_document(detail: str, where: str) -> None:
    problem = invalid(*wrong_values([{"loc": ("body", where), "msg": detail + "\ud800"}]))
    document = json.loads(bytes(response(problem, request_id="r", path="/v1/chat/completions").body))
    assert document["status"] == 422
    assert document["error"]["code"] == "invalid-request"


# --- logs


def test_of_an_exception_class_and_place_are_written_and_no_words() -> None:
    try:
        try:
            raise ValueError("what the user said")
        except ValueError as error:
            raise KeyError("and more") from error
    except KeyError as error:
        record = logging.LogRecord("rarec.service", 40, "", 0, "fault", (), (KeyError, error, None))
        line, classes = JsonLines().format(record), [e["error"] for e in described(error)["errors"]]
    assert classes == ["KeyError", "ValueError"]
    assert "said" not in line
    assert "more" not in line
    assert json.loads(line)["event"] == "fault"
    assert "test_service_limits.py" in line
