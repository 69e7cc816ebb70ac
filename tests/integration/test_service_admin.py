"""For the owner: figures, traces, and switching bundles while requests run."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from rarec.llm.budget import Spend
from rarec.pipeline import Recommender
from rarec.promotion import roll_back
from rarec.retriever.bundle import save_retriever
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.service import create_app
from rarec.service.housekeeping import tidy_up
from rarec.settings import ServeSettings, StorePaths, read_settings
from rarec.state import (
    Event,
    NewTurn,
    ShownItem,
    StateDatabase,
    add_events,
    add_key,
    add_turns,
    ceilings_for,
    create_session,
    list_turns,
    read_overview,
    recent_answers,
    reserve,
    service_day,
    settle,
    spent,
)
from rarec.state.records import Ceiling, Limits
from rarec.state.tables import accounts, sessions
from rarec.types import ItemId
from serving import Running, running, until

MakeStore = Callable[[str], Path]


@pytest.fixture
def store(make_store: MakeStore) -> Path:
    return make_store("shop")


@pytest.fixture
def other(store: Path, small_bundle: Path) -> str:
    """Another bundle that lies in the store: the same ranker, another retriever."""
    from rarec.retriever.bundle import read_manifest

    name = "bundles/0001-other"
    shutil.copytree(small_bundle, store / name)
    shape = RetrieverConfig(text_dimension=32, width=8, item_hidden=16, blocks=1)
    embedder = read_manifest(small_bundle, "retriever").embedder
    save_retriever(store / name, Retriever(shape, seed=5), embedder=embedder, training={})
    return name


@pytest.fixture
def serve(store: Path) -> Iterator[Callable[..., Running]]:
    with ExitStack() as open_:

        def start(**settings: Any) -> Running:
            recommender = open_.enter_context(Recommender.open(store))
            served = open_.enter_context(
                running(create_app(recommender, ServeSettings(requests_per_minute=0, **settings)))
            )
            until(lambda: served.ask("GET", "/readyz").status == 200)
            return served

        yield start


def chat(served: Running, session: str, text: str) -> dict[str, Any]:
    body = {"model": "rarec", "messages": [{"role": "user", "content": text}]}
    answer = served.ask("POST", "/v1/chat/completions", {**body, "rarec": {"session": session, "n": 3}})
    assert answer.status == 200, answer.body
    return dict(answer.json["rarec"])


def test_figures_and_last_turns(serve: Callable[..., Running]) -> None:
    served = serve()
    empty = served.ask("GET", "/v1/admin/overview").json
    assert (empty["turns"], empty["latency_ms"], empty["days"]) == (0, None, [])
    session = served.ask("POST", "/v1/sessions").json["id"]
    facts = chat(served, session, "I liked Quiet Harbour.")
    chat(served, session, "And more?")
    event = {"id": "e", "session": session, "turn": 2, "item": facts["items"][0]["id"], "kind": "like"}
    served.ask("POST", "/v1/feedback", {"events": [event]})
    found = served.ask("GET", "/v1/admin/overview?days=1").json
    assert (found["turns"], found["sessions"], found["likes"], found["refuses"], found["items"]) == (2, 1, 1, 0, 20)
    assert found["degraded_share"] == 0
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert [(day["turns"], day["likes"]) for day in found["days"]] == [(2, 1)]
    turns = served.ask("GET", "/v1/admin/turns?limit=1").json["turns"]
    assert [(turn["session"], turn["number"], turn["key"]) for turn in turns] == [(session, 4, "local")]
    assert turns[0]["trace"]["candidates"]
    for path in ("overview?days=0", "turns?limit=0", "turns?limit=x"):
        served.ask("GET", f"/v1/admin/{path}").problem(422)


def test_an_overview_by_days(database_place: str) -> None:
    with StateDatabase.open(database_place) as database:
        key = add_key(database, "shop")[0].id
        session = create_session(database, key).id
        answer = NewTurn("assistant", "a", (), (ShownItem(ItemId("a")),), spend=Spend(1, 10, 2 * 10**12))
        for ms, degraded in ((10.0, False), (30.0, True), (20.0, False)):
            new = replace(answer, timings_ms={"total": ms}, degraded=degraded)
            add_turns(database, key, session, [NewTurn("user", "q"), new])
        add_events(database, key, [Event("1", session, 2, "refuse", ItemId("a"))])
        for _ in range(4):  # one of them without a session: it is not kept, and was paid for
            both = ceilings_for(Limits(), key=key, session=None, request="r") | service_day(Ceiling())
            settle(database, reserve(database, both, Spend(1, 90, 9 * 10**12)), answer.spend)
        found = read_overview(database, since=datetime.now(UTC) - timedelta(days=1))
        assert found.latency_ms == (20.0, 30.0)
        assert found.sessions == 1
        assert sum(day.turns for day in found.days) == 3
        assert sum(day.degraded for day in found.days) == 1
        assert sum(day.refuses for day in found.days) == 1
        assert sum((day.spend for day in found.days), Spend()) == Spend(4, 40, 8 * 10**12)
        assert [a.stored.number for a in recent_answers(database, limit=2)] == [6, 4] or len(
            {a.stored.created for a in recent_answers(database, limit=3)}
        ) < 3  # two in one microsecond
        later = read_overview(database, since=datetime.now(UTC) + timedelta(days=1))
        assert (later.days, later.latency_ms) == ((), None)


def test_an_opened_store_is_settled_before_it_is_ready_and_after_its_words(store: Path) -> None:
    app = create_app(store, ServeSettings())
    parts = app.state.parts
    settled: list[tuple[bool, bool]] = []
    parts.when_settled(lambda: settled.append((parts.ready, parts.ready and parts.vocabulary is not None)))
    with running(app):
        until(lambda: len(settled) == 2)
    assert settled == [(False, False), (True, True)]


def test_bundles_are_switched_without_dropping_a_request(
    serve: Callable[..., Running], store: Path, other: str
) -> None:
    served = serve(watch_s=600)
    before = served.ask("GET", "/v1/admin/bundles").json
    assert (before["live"], before["serving"]) == ("bundle", "bundle")
    assert {one["bundle"]: one["live"] for one in before["candidates"]} == {"bundle": True, other: False}
    answers: list[tuple[int, bool]] = []
    settled: list[str] = []
    served.app.state.parts.when_settled(lambda: settled.append(served.app.state.parts.serving))
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answer = served.ask("POST", "/v1/recommend", {"history": ["marzipan"], "n": 5})
            answers.append((answer.status, answer.status == 200 and len(answer.json["items"]) == 5))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for live in (other, "bundle", other):
        switched = (
            served.ask("POST", "/v1/admin/rollback")
            if live == "bundle"
            else served.ask("POST", "/v1/admin/promote", {"bundle": live})
        )
        assert switched.json["live"] == live
        until(lambda live=live: served.ask("GET", "/v1/admin/bundles").json["serving"] == live)
    over.set()
    for asker in askers:
        asker.join(60)
    until(lambda: settled == [other, "bundle", other])
    assert len(answers) > 3
    assert set(answers) == {(200, True)}
    found = served.ask("GET", "/v1/admin/bundles").json
    assert [line["event"] for line in found["log"]] == ["by hand", "rollback", "by hand"]
    assert found["before"] == ["bundle"]
    weights = {one["bundle"]: one["weights"] for one in found["candidates"]}
    session = served.ask("POST", "/v1/sessions").json["id"]
    chat(served, session, "Trams?")
    assert served.ask("GET", f"/v1/sessions/{session}/turns/2").json["trace"]["bundle"] == weights[other]
    assert weights[other] != weights["bundle"]
    # Items go on being written and searched, under the bundle that came later.
    served.ask("PUT", "/v1/items/new", {"title": "Zephyr Tramway", "year": 2020, "attributes": {"genres": ["Drama"]}})
    items = served.ask("POST", "/v1/recommend", {"n": 30, "filters": {"year_min": 2020}}).json["items"]
    assert [item["id"] for item in items] == ["new"]


def test_a_switch_by_another_process_is_followed_and_a_damaged_bundle_is_not(
    serve: Callable[..., Running], store: Path, other: str
) -> None:
    from rarec.live import LiveBundle, write_live

    served = serve(watch_s=0.05)
    write_live(store, LiveBundle(live=other, before=("bundle",)))
    until(lambda: served.ask("GET", "/v1/admin/bundles").json["serving"] == other)
    paths = StorePaths(store)
    roll_back(paths, read_settings(store), embedder=served.app.state.parts.recommender.engine.embedder.name)
    until(lambda: served.ask("GET", "/v1/admin/bundles").json["serving"] == "bundle")
    damaged = store / "bundles" / "0002-damaged"
    shutil.copytree(store / other, damaged)
    (damaged / "retriever.safetensors").write_bytes(b"no weights")
    refused = served.ask("POST", "/v1/admin/promote", {"bundle": "bundles/0002-damaged"}).problem(422)
    assert refused["type"].endswith("bundle-refused")
    write_live(store, LiveBundle(live="bundles/0002-damaged", before=("bundle",)))
    until(lambda: served.app.state.parts._opening.opened._refused is not None)
    assert served.ask("GET", "/v1/admin/bundles").json["serving"] == "bundle"
    assert served.ask("POST", "/v1/recommend", {"n": 5}).status == 200
    write_live(store, LiveBundle(live=other, before=("bundle",)))
    until(lambda: served.ask("GET", "/v1/admin/bundles").json["serving"] == other)


@pytest.mark.parametrize("name", ["bundle", "bundles/none", "../elsewhere", "", "bundles/../bundle", "\x00"])
def test_what_is_no_bundle_is_refused(serve: Callable[..., Running], name: str) -> None:
    served = serve()
    served.ask("POST", "/v1/admin/promote", {"bundle": name}).problem(422)
    served.ask("POST", "/v1/admin/rollback").problem(422)


def test_sessions_that_nobody_uses_are_forgotten_and_lost_calls_are_booked(
    serve: Callable[..., Running], store: Path
) -> None:
    import asyncio

    served = serve(forget_days=30)
    database = StateDatabase.open(StorePaths(store).service)
    with database:
        old, new = (served.ask("POST", "/v1/sessions").json["id"] for _ in range(2))
        month = int((datetime.now(UTC) - timedelta(days=31)).timestamp() * 1e6)
        with database.writing() as connection:
            connection.execute(sessions.update().where(sessions.c.id == old).values(used_us=month))
        ceilings = ceilings_for(Limits(), key="local", session=new, request="lost")
        reserve(database, ceilings, Spend(1, 70), lease_s=0.001)
        with database.writing() as connection:
            connection.execute(accounts.update().where(accounts.c.name == "lost").values(used_us=month))
        asyncio.run(tidy_up(served.app.state.parts))
        served.ask("GET", f"/v1/sessions/{old}").problem(404)
        assert served.ask("GET", f"/v1/sessions/{new}").status == 200
        assert list_turns(database, "local", new) == ()
        (key,) = [account for account in ceilings if account.scope == "key"]
        assert spent(database, key) == Spend(1, 70)
        with database.reading() as connection:
            assert connection.execute(select(accounts).where(accounts.c.name == "lost")).first() is None
