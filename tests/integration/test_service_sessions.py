"""Sessions, feedback and words over HTTP, with the database in a file and in a real PostgreSQL server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from rarec.state import StateDatabase, events_of
from serving import Running, running, until

MakeStore = Callable[[str], Path]


@pytest.fixture
def serve(make_store: MakeStore) -> Iterator[Callable[..., Running]]:
    """Serves a store, ranked by nobody, with a database of the given place."""
    with ExitStack() as open_:

        def start(place: str, **limits: Any) -> Running:
            recommender = open_.enter_context(Recommender.open(make_store("shop"), flags={"llm.kind": "none"}))
            settings = ServeSettings(database=place, requests_per_minute=0, **limits)
            served = open_.enter_context(running(create_app(recommender, settings)))
            until(lambda: served.ask("GET", "/readyz").status == 200)
            return served

        yield start


@pytest.fixture
def served(serve: Callable[..., Running], database_place: str) -> Running:
    return serve(database_place)


def started(served: Running) -> str:
    made = served.ask("POST", "/v1/sessions")
    assert made.status == 201
    assert made.json["turns"] == 0
    return str(made.json["id"])


def said(served: Running, session: str | None, text: str, **more: Any) -> dict[str, Any]:
    """The `rarec` of an answer."""
    body = {"model": "rarec", "messages": [{"role": "user", "content": text}], "rarec": {"session": session, **more}}
    answer = served.ask("POST", "/v1/chat/completions", body)
    assert answer.status == 200, answer.body
    return dict(answer.json["rarec"])


def told(served: Running, *events: tuple[str, str, int, str, str]) -> Any:
    names = ("id", "session", "turn", "item", "kind")
    return served.ask("POST", "/v1/feedback", {"events": [dict(zip(names, e, strict=True)) for e in events]})


def ids(facts: dict[str, Any]) -> list[str]:
    return [item["id"] for item in facts["items"]]


def test_a_conversation_is_kept_listed_exported_and_forgotten(served: Running) -> None:
    session = started(served)
    first = said(served, session, "I liked Quiet Harbour. Something like it?", n=3)
    assert (first["session"], first["turn"], first["kept"]) == (session, 2, True)
    second = said(served, session, "And another one?", n=3)
    assert second["turn"] == 4
    assert "quiet-harbour" not in ids(second), "what was said in the first turn is known in the second"

    lines = served.ask("GET", "/v1/sessions").json["sessions"]
    assert [(line["id"], line["turns"]) for line in lines] == [(session, 4)]
    assert lines[0]["title"] == "I liked Quiet Harbour. Something like it?"
    newer = started(served)
    assert [s["id"] for s in served.ask("GET", "/v1/sessions?limit=1").json["sessions"]] == [newer]

    export = served.ask("GET", f"/v1/sessions/{session}").json
    assert [turn["role"] for turn in export["turns"]] == ["user", "assistant"] * 2
    assert [line["item"] for line in export["turns"][1]["items"]] == ids(first)
    assert served.ask("DELETE", f"/v1/sessions/{session}").status == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/turns/1")):
        problem = served.ask(method, f"/v1/sessions/{session}{path}").problem(404)
        assert problem["type"].endswith("unknown-session")
    body = {"model": "rarec", "messages": [{"role": "user", "content": "Hm"}], "rarec": {"session": session}}
    served.ask("POST", "/v1/chat/completions", body).problem(404)


def test_the_session_is_the_truth_and_earlier_messages_are_not_read(served: Running) -> None:
    session = started(served)
    messages = [
        {"role": "user", "content": "I liked Marzipan."},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "Something with trams?"},
    ]
    body = {"model": "rarec", "messages": messages, "rarec": {"session": session, "n": 20}}
    assert "marzipan" in ids(served.ask("POST", "/v1/chat/completions", body).json["rarec"])
    export = served.ask("GET", f"/v1/sessions/{session}").json
    assert [turn["text"] for turn in export["turns"] if turn["role"] == "user"] == ["Something with trams?"]
    body["messages"] = messages[1:2]
    problem = served.ask("POST", "/v1/chat/completions", body).problem(422)
    assert problem["errors"][0]["where"] == "messages"
    assert "last message of the user" in problem["detail"]


def test_without_a_session_nothing_is_kept(served: Running) -> None:
    facts = said(served, None, "Trams?")
    assert (facts["session"], facts["turn"], facts["kept"]) == (None, None, False)
    assert served.ask("GET", "/v1/sessions").json == {"sessions": []}


def test_a_stream_says_its_turn_and_is_kept(served: Running) -> None:
    session = started(served)
    body = {"model": "rarec", "stream": True, "messages": [{"role": "user", "content": "Trams?"}]}
    answer = served.ask("POST", "/v1/chat/completions", {**body, "rarec": {"session": session, "n": 2}})
    chunks = [json.loads(e.removeprefix(b"data: ")) for e in answer.body.split(b"\n\n")[:-2]]
    assert chunks[-1]["rarec"]["turn"] == 2
    said_ = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert served.ask("GET", f"/v1/sessions/{session}/turns/2").json["text"] == said_


def test_the_trace_of_a_turn_explains_it(served: Running) -> None:
    session = started(served)
    facts = said(served, session, "I liked Quiet Harbour. Something newer than 2000?", n=3)
    turn = served.ask("GET", f"/v1/sessions/{session}/turns/2").json
    trace = turn["trace"]
    assert trace["mentions"] == [
        {"id": "quiet-harbour", "title": "Quiet Harbour", "sentiment": "mentioned", "span": [8, 21], "turn": 1}
    ]
    shown = [c["id"] for c in trace["candidates"] if c["shown"]]
    assert sorted(shown) == sorted(ids(facts))
    assert [c["retriever_rank"] for c in trace["candidates"]] == list(range(1, len(trace["candidates"]) + 1))
    assert all(c["llm_rank"] is None for c in trace["candidates"]), "no model took part"
    scores = [c["retriever_score"] for c in trace["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert trace["degraded"]
    assert trace["reason"] == "no model is configured"
    assert trace["timings_ms"]["total"] > 0
    assert trace["cost"] == {"calls": 0, "tokens": 0, "usd": 0}
    assert len(trace["bundle"]) == 64
    assert trace["filters"] == facts["filters"]
    assert served.ask("GET", f"/v1/sessions/{session}/turns/1").json["trace"]["candidates"] == []
    served.ask("GET", f"/v1/sessions/{session}/turns/3").problem(404)
    served.ask("GET", f"/v1/sessions/{session}/turns/0").problem(422)


def test_feedback_changes_the_next_answer(served: Running) -> None:
    session = started(served)
    facts = said(served, session, "Something for tonight", n=8)
    reply = served.ask("GET", f"/v1/sessions/{session}/turns/2").json
    named = {mention["item"] for mention in reply["mentions"]}  # they are not offered again, whatever is felt
    first = [item for item in ids(facts) if item not in named][:4]
    stored = told(served, ("e1", session, 2, first[0], "like"), ("e2", session, 2, first[1], "refuse"),
                  ("e3", session, 2, first[2], "seen"), ("e4", session, 2, "", "shown"))  # fmt: skip
    assert stored.json == {"stored": 4, "repeated": 0}
    assert told(served, ("e1", session, 2, first[0], "like")).json == {"stored": 0, "repeated": 1}
    facts = said(served, session, "More of it", n=20)
    assert not set(first[:3]) & set(ids(facts))
    assert first[3] in ids(facts), "what was only shown may come again"
    mentions = served.ask("GET", f"/v1/sessions/{session}/turns/4").json["trace"]["mentions"]
    felt = {m["id"]: (m["sentiment"], m["turn"]) for m in mentions}
    assert felt[first[0]] == ("liked", 2)
    assert felt[first[1]] == ("disliked", 2)
    assert told(served, ("e5", session, 2, first[1], "clear"), ("e6", session, 2, first[2], "clear")).status == 200
    again = ids(said(served, session, "And now?", n=20))
    assert {first[1], first[2]} <= set(again)
    assert first[0] not in again


def test_feedback_that_cannot_be(served: Running) -> None:
    session = started(served)
    shown = ids(said(served, session, "Trams?", n=2))
    assert told(served, ("e1", session, 2, shown[0], "like")).status == 200
    assert told(served, ("e1", session, 2, shown[1], "like")).problem(409)["type"].endswith("conflict")
    told(served, ("e2", session, 9, shown[0], "like")).problem(404)
    told(served, ("e2", "no-such-session", 2, shown[0], "like")).problem(404)
    told(served, ("e2", session, 2, "never-shown", "like")).problem(422)
    told(served, ("e2", session, 2, "", "like")).problem(422)
    told(served, ("e2", session, 2, shown[0], "adore")).problem(422)
    event = {"id": "e3", "session": session, "turn": 2, "item": shown[0], "kind": "click"}
    for at in ("yesterday", "2026-11-20T18:30:00", "9999-12-31T23:59:59-10:00"):
        served.ask("POST", "/v1/feedback", {"events": [{**event, "at": at}]}).problem(422)
    assert served.ask("POST", "/v1/feedback", {"events": [{**event, "at": "2026-11-20T18:30:00Z"}]}).status == 200
    # One wrong event and none is written.
    told(served, ("e7", session, 2, shown[1], "like"), ("e8", session, 2, "never-shown", "like")).problem(422)
    assert told(served, ("e7", session, 2, shown[1], "like")).json == {"stored": 1, "repeated": 0}


def test_what_people_did_is_there_to_be_learned_from(served: Running, database_place: str) -> None:
    session = started(served)
    shown = ids(said(served, session, "I liked Quiet Harbour.", n=3))
    told(served, ("e1", session, 2, shown[0], "like"), ("e2", session, 2, shown[1], "refuse"),
         ("e3", session, 2, shown[1], "clear"))  # fmt: skip
    with StateDatabase.open(database_place) as database:
        (event,) = events_of(database)
    assert list(event.feedback.shown) == shown
    assert event.feedback.liked == {shown[0]}
    assert event.feedback.refused == frozenset()
    assert [m.item for m in event.conversation.mentions()] == ["quiet-harbour"]
    assert len(event.policy) == 64


# --- words


def test_words_become_filters_that_are_shown_and_can_be_taken_back(served: Running) -> None:
    session = started(served)
    facts = said(served, session, "A comedy from the 90s, please", n=20)
    read = {part["label"]: part for part in facts["filters"]["read"]}
    assert set(read) == {"Comedy", "1990-1999"}
    assert read["Comedy"]["words"] == "comedy"
    assert read["Comedy"]["turn"] == 1
    assert facts["filters"]["applied"]["any_of"] == {"genres": ["Comedy"]}
    assert facts["filters"]["given"]["any_of"] == {}
    assert all(1990 <= item["year"] <= 1999 for item in facts["items"])
    chip = read["Comedy"]["constraint"]
    without = said(served, session, "Hm, what else?", n=20, without=[chip, "never-read"])
    assert [part["label"] for part in without["filters"]["read"]] == ["1990-1999"]
    assert without["filters"]["applied"]["any_of"] == {}
    later = said(served, session, "And then?", n=20)
    assert [part["label"] for part in later["filters"]["read"]] == ["1990-1999"], "it is remembered"


def test_words_are_read_beside_filters_and_not_where_that_is_refused(served: Running) -> None:
    given = {"none_of": {"countries": ["Peru"]}}
    facts = said(served, None, "A comedy, nothing from the 80s", n=20, filters=given)
    assert facts["filters"]["given"]["none_of"] == {"countries": ["Peru"]}
    assert facts["filters"]["applied"]["none_of"]["countries"] == ["Peru"]
    assert facts["filters"]["applied"]["any_of"] == {"genres": ["Comedy"]}
    assert facts["filters"]["unknown"], "years cannot be left out, and that is said"
    plain = said(served, None, "A comedy", n=20, words=False)
    assert plain["filters"]["applied"]["any_of"] == {}
    body = {"messages": [{"role": "user", "content": "A comedy of the 90s"}], "n": 20}
    answer = served.ask("POST", "/v1/recommend", body).json
    assert [part["label"] for part in answer["filters"]["read"]] == ["Comedy", "1990-1999"]
    chips = [part["constraint"] for part in answer["filters"]["read"]]
    assert served.ask("POST", "/v1/recommend", {**body, "without": chips}).json["filters"]["read"] == []
    assert served.ask("POST", "/v1/recommend", {**body, "words": False}).json["filters"]["read"] == []


def test_a_full_session_says_so(serve: Callable[..., Running], tmp_path: Path) -> None:
    served = serve(str(tmp_path / "service.sqlite"), max_turns=3)
    session = started(served)
    said(served, session, "Trams?", n=1)
    said(served, session, "Trams?", n=1)
    body = {"model": "rarec", "messages": [{"role": "user", "content": "Hm"}], "rarec": {"session": session}}
    assert "start a new session" in served.ask("POST", "/v1/chat/completions", body).problem(422)["detail"]


# --- a database that goes


class Road:
    """A way to a server that can be closed and opened again: forwards bytes on loopback."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._open = True
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._open = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self._open = True

    def end(self) -> None:
        self.close()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._open:
                    near.close()
                    continue
                far = socket.create_connection(self._to)
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with source, suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def road(postgres: str) -> Iterator[tuple[Road, str]]:
    from postgres import new_database

    url = new_database(postgres)
    head, _, place = url.rpartition("@")
    address, _, name = place.partition("/")
    host, _, port = address.partition(":")
    road = Road(host, int(port))
    yield road, f"{head}@127.0.0.1:{road.port}/{name}"
    road.end()


def test_answers_go_on_while_the_database_is_gone(
    serve: Callable[..., Running], road: tuple[Road, str], caplog: pytest.LogCaptureFixture
) -> None:
    way, url = road
    served = serve(url)
    session = started(served)
    shown = ids(said(served, session, "I liked Quiet Harbour.", n=3))
    way.close()
    facts = said(served, session, "Trams?", n=3)
    assert (facts["session"], facts["turn"], facts["kept"]) == (session, None, False)
    assert len(facts["items"]) == 3
    whole = [{"role": "user", "content": "I liked Marzipan."}, {"role": "user", "content": "Trams?"}]
    body = {"model": "rarec", "messages": whole, "rarec": {"session": session, "n": 20}}
    answer = served.ask("POST", "/v1/chat/completions", body).json["rarec"]
    assert "marzipan" not in ids(answer), "all messages count while the session cannot be read"
    for method, path in (("POST", ""), ("GET", ""), ("GET", f"/{session}"), ("DELETE", f"/{session}")):
        answer = served.ask(method, f"/v1/sessions{path}")
        assert answer.problem(503)["type"].endswith("store-unavailable")
        assert "retry-after" in answer.headers
    told(served, ("e1", session, 2, shown[0], "like")).problem(503)
    ready = served.ask("GET", "/readyz")
    assert ready.status == 200, "questions are answered"
    assert not ready.json["checks"]["database"]["ready"]
    way.open()
    until(lambda: served.ask("GET", f"/v1/sessions/{session}").status == 200)
    assert said(served, session, "And now?", n=3)["turn"] == 4
    assert not any("Quiet Harbour" in record.getMessage() for record in caplog.records)
