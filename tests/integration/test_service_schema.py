"""Any request that the OpenAPI document allows, and others, alone and in rows: no answer is a fault of the service."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from serving import Running, running

MakeStore = Callable[[str], Path]
Seen = Counter[tuple[str, str, int]]
"""Method, route and status, and how often."""


@pytest.fixture
def served(make_store: MakeStore) -> Iterator[Running]:
    limits = ServeSettings(requests_per_minute=0)
    with Recommender.open(make_store("shop")) as recommender, running(create_app(recommender, limits)) as live:
        yield live


def read_schema(served: Running) -> Any:
    import schemathesis

    schema = schemathesis.openapi.from_dict(served.ask("GET", "/openapi.json").json)
    schema.config.update(base_url=served.url)
    return schema


def checks() -> list[Any]:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    return [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


def generating(examples: int, steps: int = 1) -> Any:
    from hypothesis import HealthCheck, Phase, settings

    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip


class Known:
    """What there really is, put into requests now and then; else hardly any would find its session or item."""

    def __init__(self, served: Running) -> None:
        self._served, self._rng = served, random.Random(0)
        self._rows = served.ask("GET", "/v1/items?limit=100").json["items"]
        self.items = [row["id"] for row in self._rows]
        self.session, self.shown = "", list[str]()

    def begin(self) -> None:
        """The catalogue as it was, and a new session with one answer, as turn 2; the same each time, so that a row of
        requests can be made again."""
        self._rng = random.Random(0)
        there = [row["id"] for row in self._served.ask("GET", "/v1/items?limit=1000").json["items"]]
        gone = [id for id in there if id not in self.items]
        assert self._served.ask("POST", "/v1/items/delete", {"ids": gone}).status == 200
        assert self._served.ask("POST", "/v1/items", {"items": self._rows}).json["rejected"] == []
        self.session = self._served.ask("POST", "/v1/sessions").json["id"]
        asked = {"model": "rarec", "messages": [{"role": "user", "content": "Trams?"}], "rarec": {"n": 3}}
        asked["rarec"] |= {"session": self.session}  # type: ignore[operator]
        answer = self._served.ask("POST", "/v1/chat/completions", asked)
        assert answer.status == 200
        self.shown = [item["id"] for item in answer.json["rarec"]["items"]]

    def put_into(self, case: Any) -> None:
        """Three requests of four get it."""
        if self._rng.random() < 0.25:
            return
        path = case.path_parameters or {}
        if "session" in path:
            path["session"] = self.session
        if "number" in path:
            path["number"] = self._rng.choice((1, 2, 2, 3))
        if "item_id" in path:
            path["item_id"] = self._rng.choice(self.items)
        if isinstance(case.body, dict):
            self._put_into_body(case.path, case.body)

    def _put_into_body(self, path: str, body: dict[str, Any]) -> None:
        if "chat" in path:
            body["model"] = "rarec"
            if isinstance(body.get("rarec"), dict) and self._rng.random() < 0.5:
                body["rarec"]["session"] = self.session
        if path == "/v1/items/delete":
            body["ids"] = [self._rng.choice(self.items)]
        for name in ("history", "exclude"):
            if isinstance(body.get(name), list) and body[name]:
                body[name] = [self._rng.choice(self.items) for _ in body[name]]
        events = body.get("events")
        for event in events if isinstance(events, list) else ():
            if isinstance(event, dict):
                event |= {"session": self.session, "turn": 2, "item": self._rng.choice(self.shown)}


def faults(served: Running) -> list[str]:
    return [name for name in served.figures() if re.search(r'rarec_requests_total.*status="5', name)]


def test_no_single_request_is_a_fault(served: Running) -> None:
    from hypothesis import given

    known, asked = Known(served), 0
    for result in read_schema(served).get_all_operations():
        known.begin()

        def check(case: Any) -> None:
            nonlocal asked
            asked += 1
            known.put_into(case)
            case.call_and_validate(checks=checks())

        given(case=result.ok().as_strategy())(generating(15)(check))()
    assert asked > 100
    assert not faults(served)


def test_no_row_of_requests_is_a_fault(served: Running) -> None:
    """Rows follow the links that the document's types imply: what one answer names, the next request asks for,
    changes and deletes."""
    known, seen = Known(served), Seen()
    machine = read_schema(served).as_state_machine()

    class Rows(machine):  # type: ignore[misc, valid-type]
        def setup(self) -> None:
            known.begin()

        def before_call(self, case: Any) -> None:
            known.put_into(case)

        def after_call(self, response: Any, case: Any) -> None:
            seen[case.method, case.path, response.status_code] += 1

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, checks=checks())

    Rows.run(settings=generating(50, 12))
    reached = {
        ("POST", "/v1/sessions", 201), ("GET", "/v1/sessions/{session}", 200),
        ("DELETE", "/v1/sessions/{session}", 204), ("GET", "/v1/sessions/{session}/turns/{number}", 200),
        ("PUT", "/v1/items/{item_id}", 200),
        ("GET", "/v1/items/{item_id}", 200), ("DELETE", "/v1/items/{item_id}", 204),
        ("DELETE", "/v1/items/{item_id}", 404),
    }  # fmt: skip
    assert reached <= seen.keys(), sorted(seen.items())
    assert not faults(served)
