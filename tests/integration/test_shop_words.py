"""A shop's columns in words, on the command line and over HTTP: a store with prices, and yes and no."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.catalogue import CatalogueStore
from rarec.cli.app import app
from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import StorePaths
from rarec.types import Item, ItemId
from serving import Running, running

MakeStore = Callable[[str], Path]
KINDS = ("Roses", "Benches", "Herbs")


def shop_items() -> list[Item]:
    return [
        Item(
            ItemId(f"g{k}"),
            f"Zub {k}",
            "It stands outside.",
            attributes={
                "category": (KINDS[k % 3],),
                "price_eur": (f"{10 * k + 4.5:g}",),
                "hardy": ("yes" if k % 2 else "no",),
                "brand": ("Oake" if k % 3 == 1 else "Fennhill",),
            },
        )
        for k in range(12)
    ]


@pytest.fixture
def store(make_store: MakeStore, small_catalogue: tuple[Item, ...]) -> Path:
    folder = make_store("garden")
    with CatalogueStore.open(StorePaths(folder).catalogue) as catalogue:
        catalogue.delete([item.id for item in small_catalogue])
        catalogue.add(shop_items())
    return folder


@pytest.fixture
def served(store: Path) -> Iterator[Running]:
    with (
        Recommender.open(store, flags={"llm.kind": "none"}) as recommender,
        running(create_app(recommender)) as live,
    ):
        yield live


def rarec(*words: str | Path, code: int = 0, input: str | None = None) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=input)
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def recommended(store: Path, *words: str) -> set[str]:
    found = rarec("recommend", *words, "--store", store, "--llm", "none", "-n", "50", "--json").stdout
    return {item["id"] for item in json.loads(found)["items"]}


def asked(served: Running, *texts: str, **more: Any) -> Any:
    messages = [{"role": "user", "content": text} for text in texts]
    return served.ask("POST", "/v1/recommend", {"messages": messages, "n": 50, **more})


def test_numbers_are_compared_on_the_command_line(store: Path) -> None:
    assert recommended(store, "hello", "--filter", "price_eur<=24.5") == {"g0", "g1", "g2"}
    assert recommended(store, "hello", "--filter", "price_eur=20..40", "--filter", "price_eur>24.5") == {"g3"}
    error = rarec("recommend", "hello", "--store", store, "--filter", "brand<=3", code=2).stderr
    assert "the attribute 'brand' has no numbers to compare; those that have are: 'price_eur'" in " ".join(
        error.split()
    )
    chat = "/filter price_eur>=90\n/filter price_eur<100\n"
    text = rarec("chat", "--store", store, "--llm", "none", input=chat).stdout
    assert "Filters: price_eur=94.5\n" in text


def test_numbers_are_compared_over_http(served: Running) -> None:
    answer = asked(served, "hello", filters={"ranges": {"price_eur": {"min": 20, "max": 34.5}}}).json
    assert {item["id"] for item in answer["items"]} == {"g2", "g3"}
    assert answer["filters"]["given"]["any_of"] == {"price_eur": ["24.5", "34.5"]}
    both = asked(served, "at most 30 euros", filters={"ranges": {"price_eur": {"min": 20}}}).json
    assert {item["id"] for item in both["items"]} == {"g2"}
    for name in ("brand", "colour"):
        problem = asked(served, "hello", filters={"ranges": {name: {"max": 3}}}).problem(422)
        assert f"'{name}' has no numbers to compare; those that have are: 'price_eur'" in problem["detail"]
    asked(served, "hello", filters={"ranges": {"price_eur": {"most": 3}}}).problem(422)
    asked(served, "hello", filters={"ranges": {"price_eur": {"min": 5000}}}).problem(422)


def test_a_wish_that_leaves_nothing_gives_way_and_the_answer_says_so(served: Running, store: Path) -> None:
    answer = asked(served, "I want a bench", "something by Fennhill under 50 euros").json
    assert {item["id"] for item in answer["items"]} == {"g0", "g2", "g3"}
    read = {one["label"]: one["hard"] for one in answer["filters"]["read"]}
    assert read == {"Benches": False, "Fennhill": True, "under 50 euros": True}
    (told,) = answer["filters"]["unknown"]
    assert (told["words"], told["turn"]) == ("Benches", 1)
    assert "nothing is left with it" in told["why"]
    chat = "I want a bench\nsomething by Fennhill\n/filters\n"
    text = rarec("chat", "--store", store, "--llm", "none", input=chat).stdout
    assert "Understood: maybe Benches · Fennhill · not enforced: Benches" in text
    assert "Nothing in the catalogue passes" not in text


def test_what_was_shown_before_counts_as_gone(served: Running) -> None:
    session = served.ask("POST", "/v1/sessions").json["id"]

    def say(text: str) -> Any:
        body = {
            "model": "rarec",
            "messages": [{"role": "user", "content": text}],
            "rarec": {"session": session, "n": 9},
        }
        return served.ask("POST", "/v1/chat/completions", body).json["rarec"]

    first = say("I want a rose")
    roses = {item["id"] for item in first["items"]}
    assert roses == {"g0", "g3", "g6", "g9"}
    events = [{"id": f"e{id}", "session": session, "turn": 2, "item": id, "kind": "seen"} for id in sorted(roses)]
    assert served.ask("POST", "/v1/feedback", {"events": events}).status == 200
    second = say("and a gnome to sit beside it")
    assert second["items"]
    assert [one["words"] for one in second["filters"]["unknown"]] == ["Roses"]


def test_examples_are_kinds_and_not_yes(served: Running) -> None:
    told = served.ask("GET", "/v1/service").json
    assert told["vocabulary"]["attributes"]["hardy"] == ["no", "yes"]
    (example,) = [message for message in told["example_messages"] if message.startswith("I am looking for")]
    assert example in {f"I am looking for: {value}." for value in (*KINDS, "Oake", "Fennhill")}
