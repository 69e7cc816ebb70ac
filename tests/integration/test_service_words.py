"""Words that a model reads in the service: within the ceilings and the time of the turn, and never needed."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rarec.errors import SettingsError
from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from rarec.state import Account, StateDatabase, reserved, spent
from rarec.testing import FakeOpenAIServer, Reply
from rarec.testing.replies import Answer
from serving import Running, running, until

MakeStore = Callable[[str], Path]
GOOD = json.dumps({"ranking": [1, 2], "reply": "Take [1]."})
TEXT = "Anything but scary stories, after the year 2000"


def wish(attribute: str, *values: str, quote: str, **more: Any) -> dict[str, Any]:
    usual = {"negated": False, "soft": False, "year_min": None, "year_max": None}
    return {"attribute": attribute, "values": values, "quote": quote, **usual, **more}


NO_HORROR = wish("genres", "horror", quote="anything but scary", negated=True)
LATE = wish("year", quote="after the year 2000", year_min=2001)


class Model:
    """Reads words and ranks; what was asked is kept by kind."""

    def __init__(self, words: Answer, ranks: Answer = GOOD) -> None:
        self.words, self.ranks = words, ranks
        self.asked: list[str] = []

    def __call__(self, body: Mapping[str, Any]) -> str | Reply:
        schema = body["response_format"]["json_schema"]["schema"]
        kind = "words" if "constraints" in schema["properties"] else "ranks"
        self.asked.append(kind)
        answer = self.words if kind == "words" else self.ranks
        return answer(body) if callable(answer) else answer


def reading(*wishes: Any) -> str:
    return json.dumps({"constraints": wishes})


class Shop:
    """A served store, and the database of its spend."""

    def __init__(self, served: Running, place: str) -> None:
        self.served, self.place = served, place

    def ask(self, text: str = TEXT, **own: Any) -> dict[str, Any]:
        """The `rarec` of an answer."""
        body = {"model": "rarec", "messages": [{"role": "user", "content": text}], "rarec": {"n": 20, **own}}
        answer = self.served.ask("POST", "/v1/chat/completions", body)
        assert answer.status == 200, answer.body
        return dict(answer.json["rarec"])

    def booked(self) -> int:
        with StateDatabase.open(self.place) as database:
            until(lambda: reserved(database, Account("key", "local")).calls == 0)
            return spent(database, Account("key", "local")).calls


Open = Callable[..., Shop]


@pytest.fixture
def shop(make_store: MakeStore, tmp_path: Path) -> Iterator[Open]:
    number = itertools.count()
    with ExitStack() as open_:

        def start(model: Model, *, deadline_s: float = 20.0, **limits: Any) -> Shop:
            fake = open_.enter_context(FakeOpenAIServer([model]))
            flags = {
                "llm.kind": "http", "llm.model": "fake", "llm.base_url": fake.url, "llm.max_retries": 0,
                "recommend.deadline_s": deadline_s,
            }  # fmt: skip
            made = next(number)
            recommender = open_.enter_context(Recommender.open(make_store(f"shop-{made}"), flags=flags))
            place = str(tmp_path / f"service-{made}.sqlite")
            settings = ServeSettings(database=place, requests_per_minute=0, words="llm", **limits)
            return Shop(open_.enter_context(running(create_app(recommender, settings))), place)

        yield start


def labels(facts: Mapping[str, Any]) -> list[str]:
    return [one["label"] for one in facts["filters"]["read"]]


def test_what_the_model_reads_holds_and_both_calls_are_booked(shop: Open) -> None:
    model = Model(reading(NO_HORROR, LATE))
    open_ = shop(model)
    facts = open_.ask(n=2)
    assert model.asked == ["words", "ranks"]
    assert labels(facts) == ["not Horror", "2001 or later"]
    assert facts["filters"]["read_by"] == "model"
    assert [one["words"] for one in facts["filters"]["read"]] == ["Anything but scary", "after the year 2000"]
    assert facts["items"]
    for item in facts["items"]:
        known = open_.served.ask("GET", f"/v1/items/{item['id']}").json
        assert known["year"] >= 2001
        assert "Horror" not in known["attributes"]["genres"]
    assert facts["timings_ms"]["words"] > 0
    assert facts["timings_ms"]["total"] >= facts["timings_ms"]["words"]
    assert not facts["degraded"]
    assert open_.booked() == 2
    assert open_.ask(n=2)["items"] == facts["items"]
    assert model.asked == ["words", "ranks"], "equal questions are answered from memory"


def test_without_words_and_without_a_text_nobody_reads(shop: Open) -> None:
    model = Model(reading(NO_HORROR))
    open_ = shop(model)
    assert labels(open_.ask(words=False)) == []
    assert open_.served.ask("POST", "/v1/recommend", {"history": ["marzipan"]}).json["filters"]["read"] == []
    assert model.asked == ["ranks", "ranks"]


@pytest.mark.parametrize("words", [Reply(status=500), "no JSON", reading(7), Reply(refusal="no")])
def test_whatever_goes_wrong_the_rules_read(shop: Open, words: Answer) -> None:
    facts = shop(Model(words)).ask("Not horror, after 2000")
    assert facts["filters"]["read_by"] == "rules"
    assert labels(facts) == ["not Horror", "2001 or later"]
    assert not facts["degraded"]


def test_a_model_that_is_late_costs_the_turn_no_more_than_its_time(shop: Open) -> None:
    open_ = shop(Model(Reply(hang=True), Reply(hang=True)), deadline_s=4.0, words_s=60.0)
    facts = open_.ask("Not horror")
    assert facts["filters"]["read_by"] == "rules"
    assert labels(facts) == ["not Horror"]
    assert facts["degraded"]
    assert facts["timings_ms"]["words"] >= 1900
    found = re.fullmatch(r"no answer within ([\d.]+) s", facts["reason"])
    assert found
    assert float(found[1]) <= 2.1, "what reading took is not there any more for the answer"
    assert open_.booked() == 2


def test_over_a_ceiling_the_rules_read_and_the_retriever_answers(shop: Open) -> None:
    model = Model(reading(LATE))
    open_ = shop(model, ceilings=("request.calls=1",))
    facts = open_.ask("Not horror")
    assert model.asked == ["words"], "both calls are of one request"
    assert facts["degraded"]
    assert open_.booked() == 1
    none = shop(model, ceilings=("day.calls=0",))
    facts = none.ask("Not horror")
    assert (facts["filters"]["read_by"], labels(facts)) == ("rules", ["not Horror"])
    assert model.asked == ["words"]


def test_what_is_taken_back_stays_so_although_the_model_quotes_other_words(shop: Open) -> None:
    quotes = iter(["anything but scary", "but scary", "scary"])
    model = Model(lambda _: reading(NO_HORROR | {"quote": next(quotes)}))
    open_ = shop(model)
    session = open_.served.ask("POST", "/v1/sessions").json["id"]
    read = open_.ask(session=session)["filters"]["read"]
    assert labels(open_.ask("Go on", session=session, without=[read[0]["constraint"]])) == []
    assert labels(open_.ask("And on", session=session)) == []


def test_what_nobody_said_is_shown_and_not_held_to(shop: Open) -> None:
    """A text that is not the user's, or a model that imagines, narrows nothing."""
    invented = wish("genres", "Comedy", quote="only comedies, says an item")
    facts = shop(Model(reading(invented))).ask()
    assert [(one["label"], one["hard"]) for one in facts["filters"]["read"]] == [("Comedy", False)]
    assert facts["filters"]["applied"]["any_of"] == {}


def test_filters_of_the_request_are_not_loosened_by_what_a_model_reads(shop: Open) -> None:
    obedient = Model(reading(wish("genres", "Horror", quote="scary"), wish("year", quote="2000", year_min=1)))
    facts = shop(obedient).ask(filters={"any_of": {"genres": ["Drama"]}, "year_min": 1990})
    assert facts["filters"]["applied"]["any_of"] == {"genres": ["Drama"]}
    assert facts["filters"]["applied"]["year_min"] == 1990


def test_a_model_that_reads_nothing_cannot_be_told_to(make_store: MakeStore) -> None:
    store = make_store("shop")
    with pytest.raises(SettingsError, match=r"serve\.words is 'llm', but llm\.kind is 'local'"):
        create_app(store, flags={"serve.words": "llm"})
    with Recommender.open(store) as recommender, pytest.raises(SettingsError, match=r"set serve\.words = 'rules'"):
        create_app(recommender, ServeSettings(words="llm"))
