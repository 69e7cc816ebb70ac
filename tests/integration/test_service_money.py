"""What models may cost, behind the real service: a fake endpoint that is paid for, and the real databases."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rarec.errors import SettingsError
from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.service.money import REACHED, UNBOOKED
from rarec.settings import ServeSettings
from rarec.state import Account, Limits, StateDatabase, add_key, parse_limits, reserved, spent
from rarec.testing import FakeOpenAIServer, Reply
from rarec.testing.replies import Answer
from serving import Running, running, until

MakeStore = Callable[[str], Path]
GOOD = json.dumps({"ranking": [1, 2], "reply": "Take [1]."})
LOCAL = Account("key", "local")


class Shop:
    """A served store, the fake endpoint behind it, and its database."""

    def __init__(self, served: Running, fake: FakeOpenAIServer, place: str) -> None:
        self.served, self.fake, self.place = served, fake, place

    def ask(self, text: str, *, secret: str = "", session: str | None = None, n: int = 2) -> dict[str, Any]:
        """The `rarec` of an answer."""
        body = {"model": "rarec", "messages": [{"role": "user", "content": text}]}
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        answer = self.served.ask(
            "POST", "/v1/chat/completions", {**body, "rarec": {"n": n, "session": session}}, headers=headers
        )
        assert answer.status == 200, answer.body
        return dict(answer.json["rarec"])

    def session(self) -> str:
        return str(self.served.ask("POST", "/v1/sessions").json["id"])

    @property
    def calls(self) -> int:
        return len(self.fake.requests)


Open = Callable[..., Shop]


@pytest.fixture
def shop(make_store: MakeStore, tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as open_:
        number = itertools.count()

        def start(*answers: Answer, place: str = "", flags: dict[str, Any] | None = None, **limits: Any) -> Shop:
            fake = open_.enter_context(FakeOpenAIServer(answers))
            place = place or str(tmp_path / "service.sqlite")
            settings: dict[str, Any] = {
                "llm.kind": "http", "llm.model": "fake", "llm.base_url": fake.url, "llm.max_retries": 0,
            }  # fmt: skip
            recommender = open_.enter_context(
                Recommender.open(make_store(f"shop-{next(number)}"), flags={**settings, **(flags or {})})
            )
            serve = ServeSettings(database=place, requests_per_minute=0, **limits)
            return Shop(open_.enter_context(running(create_app(recommender, serve))), fake, place)

        yield start


def booked(shop: Shop, account: Account = LOCAL) -> tuple[int, int]:
    """Calls and tokens that are settled; nothing is left reserved."""
    with StateDatabase.open(shop.place) as database:
        until(lambda: reserved(database, account).calls == 0)
        found = spent(database, account)
    return found.calls, found.tokens


def test_over_the_day_the_retriever_answers(shop: Open, database_place: str) -> None:
    open_ = shop(GOOD, place=database_place, ceilings=("day.calls=2",))
    facts = [open_.ask(f"Trams, number {number}?") for number in range(4)]
    assert [f["degraded"] for f in facts] == [False, False, True, True]
    reason = facts[2]["reason"]
    assert "the ceiling of today (UTC) for all keys together is 2 calls: 2 calls spent" in reason
    assert "one more call may take 1 call; raise it" in reason
    assert all(len(f["items"]) == 2 for f in facts)
    assert open_.calls == 2
    assert booked(open_)[0] == 2


def test_ceilings_of_a_key_and_a_session(shop: Open, tmp_path: Path) -> None:
    place = str(tmp_path / "keys.sqlite")
    with StateDatabase.open(place) as database:
        poor = add_key(database, "poor", parse_limits(["day.calls=1"], source="test"))[1]
        rich = add_key(database, "rich", Limits())[1]
    open_ = shop(GOOD, place=place, ceilings=("session.calls=1",))
    assert not open_.ask("One?", secret=poor)["degraded"]
    assert "today (UTC) for this key is 1 call: 1 call spent" in open_.ask("Two?", secret=poor)["reason"]
    assert not open_.ask("Three?", secret=rich)["degraded"]
    made = open_.served.ask("POST", "/v1/sessions", headers={"Authorization": f"Bearer {rich}"}).json["id"]
    assert not open_.ask("Four?", secret=rich, session=made)["degraded"]
    assert "the ceiling of this session is 1 call:" in open_.ask("Five?", secret=rich, session=made)["reason"]
    others = shop(GOOD, place=place, ceilings=("day.calls=0",))
    assert others.ask("Six?", secret=rich)["reason"] == REACHED, "what others have spent is not told"


def test_money_is_booked_by_what_the_provider_counts(shop: Open) -> None:
    open_ = shop(GOOD, flags={"llm.input_usd": 1.0, "llm.output_usd": 10.0}, ceilings=("day.usd=1",))
    session = open_.session()
    assert not open_.ask("Trams?", session=session)["degraded"]
    calls, tokens = booked(open_)
    cost = open_.served.ask("GET", f"/v1/sessions/{session}/turns/2").json["trace"]["cost"]
    assert (cost["calls"], cost["tokens"]) == (calls, tokens) == (1, tokens)
    assert tokens > 0
    with StateDatabase.open(open_.place) as database:
        assert spent(database, LOCAL).usd == pytest.approx(cost["usd"])
    assert cost["usd"] > 0
    poor = shop(GOOD, flags={"llm.input_usd": 1.0, "llm.output_usd": 10.0}, ceilings=("request.usd=0.000001",))
    reason = poor.ask("Trams?")["reason"]
    assert "the ceiling of this request is 0.000001 USD: 0 USD spent" in reason
    assert "one more call may take 0.0" in reason
    assert "more than all of it; raise the ceiling" in reason
    assert poor.calls == 0


def test_dollars_without_prices(shop: Open, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"llm\.input_usd"):
        shop(GOOD, ceilings=("day.usd=1",))
    with pytest.raises(SettingsError, match=r"serve\.ceilings 'day\.usd'"):
        shop(GOOD, ceilings=("day.usd",))
    place = str(tmp_path / "keys.sqlite")
    with StateDatabase.open(place) as database:
        secret = add_key(database, "shop", parse_limits(["day.usd=1"], source="test"))[1]
    open_ = shop(GOOD, place=place)
    assert "prices of the model are not known" in open_.ask("Trams?", secret=secret)["reason"]
    owner = shop(GOOD)
    assert owner.served.ask("GET", "/v1/admin/overview").json["counts_dollars"] is False
    priced = shop(GOOD, flags={"llm.input_usd": 1.0, "llm.output_usd": 10.0})
    assert priced.served.ask("GET", "/v1/admin/overview").json["counts_dollars"] is True
    assert open_.calls == 0


def test_a_model_that_is_too_slow_is_booked_at_its_most(shop: Open) -> None:
    open_ = shop(Reply(GOOD, hang=True), flags={"recommend.deadline_s": 3.0})
    facts = open_.ask("Trams?")
    assert facts["degraded"]
    assert "no answer within" in facts["reason"]
    calls, tokens = booked(open_)
    assert calls == 1
    assert tokens > 800, "the prompt's bytes and all that might have been written"


def test_a_stream_whose_reader_goes_is_booked_and_a_refusal_costs_a_call(shop: Open) -> None:
    slow = Reply(json.dumps({"ranking": [1], "reply": "word " * 500}), piece_chars=5, piece_delay_s=0.05)
    open_ = shop(slow, Reply(status=400, message="no"))
    connection = open_.served.connection()
    body = {"model": "rarec", "messages": [{"role": "user", "content": "Trams?"}], "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    assert connection.getresponse().readline().startswith(b"data: ")
    connection.close()
    until(lambda: open_.served.figures()["rarec_turns_cancelled_total"] == 1)
    calls, tokens = booked(open_)
    assert calls == 1
    assert tokens > 800
    assert open_.ask("Harbours?")["degraded"]
    assert booked(open_) == (2, tokens)


@pytest.mark.parametrize("useless", [Reply("", finish_reason="length"), Reply(refusal="I would rather not.")])
def test_an_answer_that_is_no_use_is_paid_for(shop: Open, useless: Reply) -> None:
    open_ = shop(useless, flags={"llm.input_usd": 1.0, "llm.output_usd": 10.0}, ceilings=("day.usd=1",))
    assert open_.ask("Trams?")["degraded"]
    calls, tokens = booked(open_)
    assert calls == 1
    assert tokens > 0
    with StateDatabase.open(open_.place) as database:
        assert spent(database, LOCAL).usd > 0


def test_a_stream_that_breaks_off_is_booked_at_its_most(shop: Open) -> None:
    """The provider has read the prompt, and nobody says how much it wrote."""
    open_ = shop(Reply(json.dumps({"ranking": [1], "reply": "word " * 500}), piece_chars=5, drop_after=20))
    body = {"model": "rarec", "messages": [{"role": "user", "content": "Trams?"}], "stream": True}
    assert b'"degraded":true' in open_.served.ask("POST", "/v1/chat/completions", body).body
    calls, tokens = booked(open_)
    assert calls == 1
    assert tokens > 800


def test_a_call_that_cannot_be_booked_is_not_made(shop: Open) -> None:
    open_ = shop(GOOD)
    assert not open_.ask("Trams?")["degraded"]
    open_.served.app.state.parts.database.close()
    facts = open_.ask("Harbours?")
    assert facts["degraded"]
    assert facts["reason"] == UNBOOKED
    assert facts["items"]
    assert open_.calls == 1


def test_the_same_question_is_paid_for_once(shop: Open) -> None:
    open_ = shop(GOOD, json.dumps({"ranking": [2, 1], "reply": "Rather [2]."}))
    first, second = open_.session(), open_.session()
    answers = [open_.ask("Trams?", session=session) for session in (first, second)]
    assert answers[0]["items"] == answers[1]["items"]
    traces = [open_.served.ask("GET", f"/v1/sessions/{s}/turns/2").json["trace"] for s in (first, second)]
    assert [trace["cached"] for trace in traces] == [False, True]
    assert [trace["cost"]["calls"] for trace in traces] == [1, 0]
    assert [c["llm_rank"] for c in traces[1]["candidates"][:2]] == [1, 2]
    assert open_.calls == 1
    assert open_.served.figures()["rarec_llm_cached_total"] == 1
    assert not open_.ask("Harbours?")["degraded"]
    assert open_.calls == 2


def test_an_answer_that_was_no_use_is_not_kept(shop: Open) -> None:
    open_ = shop("no JSON at all", GOOD)
    assert open_.ask("Trams?")["degraded"]
    assert not open_.ask("Trams?")["degraded"]


def test_a_model_that_fails_again_and_again_is_left_alone_for_a_while(shop: Open) -> None:
    open_ = shop(Reply(status=500), Reply(status=500), GOOD, breaker_failures=2, breaker_pause_s=1.5)
    assert [open_.ask(f"{n}?")["degraded"] for n in range(2)] == [True, True]
    assert open_.served.figures()["rarec_llm_breaker_open"] == 1
    facts = open_.ask("Trams?")
    assert facts["degraded"]
    assert "failed 2 times in a row" in facts["reason"]
    assert open_.calls == 2
    until(lambda: not open_.ask("Harbours?")["degraded"])
    assert open_.served.figures()["rarec_llm_breaker_open"] == 0
    assert open_.calls == 3
