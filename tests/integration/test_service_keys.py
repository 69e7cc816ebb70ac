"""Keys over HTTP: who is let in, what the owner may do, and that tenants do not meet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from rarec.pipeline import Recommender
from rarec.service import access, create_app
from rarec.settings import ServeSettings
from rarec.state import StateDatabase, add_key, parse_limits, revoke_key
from rarec.testing import FakeOpenAIServer
from serving import Answered, Running, running, until

MakeStore = Callable[[str], Path]
GOOD = json.dumps({"ranking": [1, 2], "reply": "Take [1]."})
NO_SUCH = "AAAAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def serve(make_store: MakeStore) -> Iterator[Callable[..., Running]]:
    with ExitStack() as open_:

        def start(place: str) -> Running:
            fake = open_.enter_context(FakeOpenAIServer([GOOD]))
            flags = {"llm.kind": "http", "llm.model": "fake", "llm.base_url": fake.url}
            recommender = open_.enter_context(Recommender.open(make_store("shop"), flags=flags))
            own = ServeSettings(database=place, requests_per_minute=0, cached_answers=0)
            return open_.enter_context(running(create_app(recommender, own)))

        yield start


def ask(served: Running, method: str, path: str, body: Any = None, *, secret: str = "") -> Answered:
    return served.ask(method, path, body, headers={"Authorization": f"Bearer {secret}"} if secret else {})


def test_without_keys_this_machine_is_let_in_and_owns(serve: Callable[..., Running], database_place: str) -> None:
    served = serve(database_place)
    for secret in ("", "any", "rarec_a_b"):
        assert ask(served, "GET", "/v1/sessions", secret=secret).status == 200
    assert ask(served, "GET", "/v1/admin/overview").status == 200
    service = ask(served, "GET", "/v1/service").json
    assert (service["keys_needed"], service["owner"]) == (False, True), "who is on this machine is the owner"


def test_with_a_key_everybody_needs_one(
    serve: Callable[..., Running], database_place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FRESH_S", 0.0)
    with StateDatabase.open(database_place) as database:
        key, secret = add_key(database, "shop")
        owner = add_key(database, "owner", admin=True)[1]
        served = serve(database_place)
        paths = [("GET", "/v1/sessions"), ("GET", "/v1/items"), ("GET", "/v1/models"), ("POST", "/v1/recommend")]
        for method, path in paths:
            body = {} if method == "POST" else None
            for wrong in ("", "any", secret[:-1], secret + "x", f"rarec_{key.id}_", "rarec__"):
                refused = ask(served, method, path, body, secret=wrong)
                document = refused.problem(401)
                assert document["type"].endswith("key-needed")
                assert refused.headers["www-authenticate"] == "Bearer"
            assert ask(served, method, path, body, secret=secret).status == 200
        served.ask("GET", "/v1/sessions", headers={"Authorization": f"Basic {secret}"}).problem(401)
        assert served.ask("GET", "/readyz").status == 200, "machines need no key"
        assert "--admin" in ask(served, "GET", "/v1/admin/overview", secret=secret).problem(403)["detail"]
        ask(served, "GET", "/v1/admin/overview").problem(401)
        assert ask(served, "GET", "/v1/admin/overview", secret=owner).status == 200
        revoke_key(database, "shop")
        ask(served, "GET", "/v1/sessions", secret=secret).problem(401)


def test_a_page_without_a_key_learns_that_it_needs_one_and_nothing_else(
    serve: Callable[..., Running], tmp_path: Path
) -> None:
    place = str(tmp_path / "service.sqlite")
    with StateDatabase.open(place) as database:
        secret = add_key(database, "shop")[1]
    served = serve(place)
    until(lambda: served.ask("GET", "/readyz").status == 200)
    nothing = {"attributes": {}, "people": [], "year_min": None, "year_max": None}
    closed = ask(served, "GET", "/v1/service").json
    assert closed == {
        "model": "rarec", "items": 0, "example_messages": [], "vocabulary": nothing, "keys_needed": True, "layout": "",
        "owner": False,
    }  # fmt: skip
    told = ask(served, "GET", "/v1/service", secret=secret).json
    assert told["items"] == 20
    assert set(told["vocabulary"]["attributes"]["genres"]) == {"Drama", "Comedy", "Horror", "Romance"}
    assert (told["vocabulary"]["year_min"], told["vocabulary"]["year_max"]) == (1980, 2018)
    assert any("Salt and Rye" in message for message in told["example_messages"])


def test_somebody_from_elsewhere_is_not_let_in_without_keys(serve: Callable[..., Running], tmp_path: Path) -> None:
    """By a proxy that is trusted to say where a request comes from; the service listens on this machine."""
    place = str(tmp_path / "service.sqlite")
    served = serve(place)
    told = served.app.state.parts.access

    async def admitted(host: str) -> Any:
        from starlette.requests import Request

        scope = {"type": "http", "headers": [], "client": (host, 1), "app": served.app}
        return await told.admit(Request(scope))

    import asyncio

    assert asyncio.run(admitted("127.0.0.1")).key == "local"
    with pytest.raises(Exception, match="only this machine"):
        asyncio.run(admitted("192.0.2.7"))


# --- two tenants

CALLS = 3
"""What each of them may ask the model for in its life."""


class Tenants(RuleBasedStateMachine):
    """Two keys that do everything that a client can do, with their own and with each other's things."""

    served: Running
    place: str
    number = 0

    def __init__(self) -> None:
        super().__init__()
        Tenants.number += 1
        with StateDatabase.open(self.place) as database:
            limits = parse_limits([f"key.calls={CALLS}"], source="test")
            self.secrets = [add_key(database, f"tenant {Tenants.number} {n}", limits)[1] for n in range(2)]
        self.turns: list[dict[str, int]] = [{}, {}]
        self.shown: dict[tuple[str, int], list[str]] = {}
        self.events: list[dict[str, tuple[str, int, str]]] = [{}, {}]
        self.calls = [0, 0]

    who = st.integers(0, 1)
    which = st.integers(0, 3)

    def ask(self, who: int, method: str, path: str, body: Any = None) -> Answered:
        return ask(self.served, method, path, body, secret=self.secrets[who])

    def picked(self, owner: int, which: int) -> str:
        """A session of an owner, or one that nobody has."""
        names = [*self.turns[owner], NO_SUCH]
        return names[min(which, len(names) - 1)]

    @rule(who=who)
    def start(self, who: int) -> None:
        self.turns[who][self.ask(who, "POST", "/v1/sessions").json["id"]] = 0

    @rule(who=who, owner=who, which=which)
    def talk(self, who: int, owner: int, which: int) -> None:
        session = self.picked(owner, which)
        body = {"model": "rarec", "messages": [{"role": "user", "content": "Trams?"}]}
        answer = self.ask(who, "POST", "/v1/chat/completions", {**body, "rarec": {"session": session, "n": 2}})
        if session not in self.turns[who]:
            assert answer.problem(404)["type"].endswith("unknown-session")
            return
        facts = answer.json["rarec"]
        self.turns[who][session] += 2
        assert facts["turn"] == self.turns[who][session]
        assert facts["degraded"] == (self.calls[who] >= CALLS), "what the other has spent changes nothing"
        self.calls[who] += not facts["degraded"]
        self.shown[session, facts["turn"]] = [item["id"] for item in facts["items"]]

    @rule(who=who, owner=who, which=which, back=st.integers(1, 4), id=st.sampled_from("abc"))
    def feel(self, who: int, owner: int, which: int, back: int, id: str) -> None:
        session = self.picked(owner, which)
        turn = max(1, self.turns[owner].get(session, 0) - back + 1)
        item = (self.shown.get((session, turn)) or ["marzipan"])[0]
        event = {"id": id, "session": session, "turn": turn, "item": item, "kind": "like"}
        answer = self.ask(who, "POST", "/v1/feedback", {"events": [event]})
        before = self.events[who].get(id)
        if before == (session, turn, item):
            assert answer.json == {"stored": 0, "repeated": 1}
        elif session not in self.turns[who] and before is None:
            assert answer.problem(404)["type"].endswith("unknown-session")
        elif before is not None:
            answer.problem(409)
        elif (session, turn) in self.shown:
            assert answer.json == {"stored": 1, "repeated": 0}
            self.events[who][id] = (session, turn, item)
        else:
            assert answer.status in (404, 422)

    @rule(who=who, owner=who, which=which)
    def look(self, who: int, owner: int, which: int) -> None:
        session = self.picked(owner, which)
        export, trace = (self.ask(who, "GET", f"/v1/sessions/{session}{rest}") for rest in ("", "/turns/2"))
        if session not in self.turns[who]:
            unknown = self.ask(who, "GET", f"/v1/sessions/{NO_SUCH}").problem(404)
            assert export.problem(404)["detail"] == unknown["detail"].replace(NO_SUCH, session)
            trace.problem(404)
            return
        assert len(export.json["turns"]) == self.turns[who][session]
        mine = {id for id, (at, _, _) in self.events[who].items() if at == session}
        assert {event["id"] for event in export.json["events"]} == mine
        assert trace.status == (200 if self.turns[who][session] else 404)

    @precondition(lambda self: any(self.turns))
    @rule(who=who, owner=who, which=which)
    def forget(self, who: int, owner: int, which: int) -> None:
        session = self.picked(owner, which)
        answer = self.ask(who, "DELETE", f"/v1/sessions/{session}")
        if session not in self.turns[who]:
            answer.problem(404)
            return
        assert answer.status == 204
        del self.turns[who][session]
        self.events[who] = {id: event for id, event in self.events[who].items() if event[0] != session}
        self.shown = {place: items for place, items in self.shown.items() if place[0] != session}

    @invariant()
    def each_sees_its_own(self) -> None:
        for who in range(2):
            lines = self.ask(who, "GET", "/v1/sessions").json["sessions"]
            assert {line["id"]: line["turns"] for line in lines} == self.turns[who]


def test_two_tenants_never_meet(serve: Callable[..., Running], database_place: str) -> None:
    with StateDatabase.open(database_place) as database:
        add_key(database, "somebody")
    Tenants.served, Tenants.place = serve(database_place), database_place
    quick = settings(
        max_examples=10, stateful_step_count=15, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Tenants, settings=quick)
