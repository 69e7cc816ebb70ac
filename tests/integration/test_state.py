"""Keys, sessions, turns and feedback in a real SQLite file and a real PostgreSQL server."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from rarec.errors import Conflict, InputError, MissingExtra, SettingsError, StoreError, UnknownSession
from rarec.llm.budget import Spend
from rarec.state import (
    Account,
    Ceiling,
    Event,
    Limits,
    NewTurn,
    ShownItem,
    StateDatabase,
    add_events,
    add_key,
    add_turns,
    ceilings_for,
    conversation_of,
    create_session,
    events_of,
    export_session,
    find_key,
    find_session,
    forget_session,
    forget_unused,
    list_keys,
    list_turns,
    local_key,
    page_sessions,
    reserve,
    revoke_key,
    settle,
    spent,
    touch_session,
)
from rarec.state.tables import accounts, events, keys, reservation_accounts, sessions, turns
from rarec.types import Conversation, ItemId, Mention, Turn

QUESTION = NewTurn("user", "I liked Marzipan. What else?", (Mention(ItemId("marzipan"), "liked", (8, 16)),))
ANSWER = NewTurn(
    "assistant",
    "Try these.",
    (),
    (ShownItem(ItemId("a"), 2.5, "It is sweet.", 3), ShownItem(ItemId("b"), -1.0), ShownItem(ItemId("c"))),
    {"year_min": 1990},
    {"candidates": [{"item": "a", "score": 2.5, "rank": 1}]},
    {"total": 12.5},
    Spend(1, 900, 1_234_567),
    "a-model",
    True,
    "too slow",
    "0123abcd",
)


@pytest.fixture
def database(database_place: str) -> Iterator[StateDatabase]:
    with StateDatabase.open(database_place) as opened:
        yield opened


@pytest.fixture
def key(database: StateDatabase) -> str:
    return add_key(database, "shop")[0].id


@pytest.fixture
def session(database: StateDatabase, key: str) -> str:
    """A session with a question and an answer."""
    made = create_session(database, key).id
    assert add_turns(database, key, made, (QUESTION, ANSWER)) == (1, 2)
    return made


def liked(session: str, id: str = "e1", item: str = "a", **more: Any) -> Event:
    return Event(id, session, **{"turn": 2, "kind": "like", "item": ItemId(item), **more})


def rows(database: StateDatabase, table: Any) -> int:
    with database.reading() as connection:
        return len(connection.execute(select(table)).all())


def test_a_secret_opens_its_key_and_lies_nowhere(database: StateDatabase) -> None:
    limits = Limits(day=Ceiling(usd=0.5, calls=10))
    made, secret = add_key(database, "shop", limits)
    other, another = add_key(database, "café")
    assert find_key(database, secret) == made
    assert made.limits == limits
    assert find_key(database, another) == other
    assert len({secret, another}) == 2
    assert len(secret.split("_", 2)[2]) >= 43  # 32 bytes
    for wrong in (
        "",
        "rarec",
        "rarec__",
        secret[:-1],
        f"{secret}x",
        secret.upper(),
        f"rarec_{other.id}_x",
        "\0",
        "\ud800",
    ):
        assert find_key(database, wrong) is None
    assert find_key(database, secret.replace(made.id, other.id)) is None
    with database.reading() as connection:
        kept = repr(connection.execute(select(keys)).all())
    assert secret not in kept
    assert secret.split("_", 2)[2] not in kept
    with pytest.raises(Conflict, match="shop"):
        add_key(database, "shop")
    with pytest.raises(InputError, match="name of a key"):
        add_key(database, " ")
    assert [each.name for each in list_keys(database)] == ["shop", "café"]


def test_a_revoked_key_opens_nothing_and_keeps_its_name(database: StateDatabase) -> None:
    _, secret = add_key(database, "shop")
    first = revoke_key(database, "shop")
    assert find_key(database, secret) is None
    assert revoke_key(database, first.id) == first
    assert first.revoked is not None
    with pytest.raises(Conflict):
        add_key(database, "shop")
    with pytest.raises(InputError, match="no key 'nobody'"):
        revoke_key(database, "nobody")


def test_the_local_key_is_one_and_no_secret_opens_it(database: StateDatabase) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert {found.id for found in pool.map(lambda _: local_key(database), range(12))} == {"local"}
    assert local_key(database, Limits(day=Ceiling(calls=3))).limits.day.calls == 3
    assert local_key(database).limits.day.calls == 3
    for secret in ("", "rarec_local_", "rarec_local_x"):
        assert find_key(database, secret) is None


def test_turns_come_back_as_they_were_written(database: StateDatabase, key: str, session: str) -> None:
    first, second = list_turns(database, key, session)
    assert (first.number, first.turn, second.number, second.turn) == (1, QUESTION, 2, ANSWER)
    assert abs(second.created - datetime.now(UTC)) < timedelta(minutes=5)
    assert conversation_of(session, (first,)) == Conversation(
        (Turn("user", QUESTION.text, QUESTION.mentions),), session
    )
    unlinked = replace(QUESTION, mentions=None)
    assert add_turns(database, key, session, [unlinked], after=2) == (3,)
    assert [stored.turn for stored in list_turns(database, key, session, after=2)] == [unlinked]
    assert [stored.number for stored in list_turns(database, key, session, limit=2)] == [1, 2]
    with pytest.raises(Conflict, match="has 3 turns, not 2"):
        add_turns(database, key, session, [unlinked], after=2)
    with pytest.raises(InputError, match="twice"):
        replace(ANSWER, items=ANSWER.items * 2)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters()), why=st.text(st.characters()), score=st.floats(), depth=st.text(st.characters()))
def test_any_text_is_kept_but_for_what_no_database_takes(
    database: StateDatabase, key: str, session: str, text: str, why: str, score: float, depth: str
) -> None:
    shown = (ShownItem(ItemId("a"), score, why),)
    (number,) = add_turns(database, key, session, [NewTurn("user", text, None, shown, {depth: [{depth: score}]})])
    (found,) = list_turns(database, key, session, after=number - 1)
    expected = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
    assert found.turn.text == expected
    assert len(found.turn.text) == len(text)
    if "\0" not in why + depth and not any("\ud800" <= c <= "\udfff" for c in why + depth):
        assert found.turn.items[0].why == why
        assert list(found.turn.filters) == [depth]
    if abs(score) < float("inf"):
        assert found.turn.items[0].score == score
    json.dumps(export_session(database, key, session), allow_nan=False)


def test_a_session_of_one_key_is_not_there_for_another(database: StateDatabase, key: str, session: str) -> None:
    other = add_key(database, "other")[0].id
    assert find_session(database, other, session) is None
    found = find_session(database, key, session)
    assert found is not None
    assert found.id == session
    calls: tuple[Any, ...] = (
        lambda: touch_session(database, other, session),
        lambda: add_turns(database, other, session, [QUESTION]),
        lambda: list_turns(database, other, session),
        lambda: export_session(database, other, session),
        lambda: forget_session(database, other, session),
        lambda: add_events(database, other, [liked(session)]),
    )
    for call in calls:
        with pytest.raises(UnknownSession, match=session):
            call()
    assert [stored.turn for stored in list_turns(database, key, session)] == [QUESTION, ANSWER]
    assert rows(database, events) == 0
    assert page_sessions(database, key=other).sessions == ()
    # the same id of an event is another event for another key
    theirs = create_session(database, other).id
    add_turns(database, other, theirs, [QUESTION, ANSWER])
    assert add_events(database, key, [liked(session)]) == add_events(database, other, [liked(theirs, item="b")]) == 1


def test_threads_number_turns_without_gaps(database: StateDatabase, key: str) -> None:
    session = create_session(database, key).id
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: add_turns(database, key, session, [QUESTION, ANSWER]), range(18)))
    assert sorted(number for pair in found for number in pair) == list(range(1, 37))
    assert all(second == first + 1 for first, second in found)


def test_events_are_written_once_an_id(database: StateDatabase, key: str, session: str) -> None:
    at = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
    batch = [
        Event("shown", session, 2, "shown"),
        liked(session, "e1", at=at),
        liked(session, "e2", "b", kind="refuse"),
        liked(session, "e1", at=at),
    ]
    assert add_events(database, key, batch) == 3
    assert add_events(database, key, batch[::-1]) == 0
    other = create_session(database, key).id
    add_turns(database, key, other, [QUESTION, ANSWER])
    for changed in ({"item": ItemId("c")}, {"kind": "click"}, {"at": at + timedelta(seconds=1)}, {"at": None}):
        with pytest.raises(Conflict, match="'e1' stands already"):
            add_events(database, key, [liked(session, "new"), replace(batch[1], **changed)])
    with pytest.raises(Conflict):
        add_events(database, key, [replace(batch[1], session=other)])
    assert rows(database, events) == 3  # all or none
    with pytest.raises(InputError, match="'z', which turn 2"):
        add_events(database, key, [liked(session, "e3", "z")])
    with pytest.raises(UnknownSession, match="no turn 9"):
        add_events(database, key, [liked(session, "e3", turn=9)])
    for wrong in ({"kind": "love"}, {"item": ItemId("")}, {"turn": 0}, {"turn": 2**40}, {"at": datetime(2026, 1, 1)}):
        with pytest.raises(InputError):
            liked(session, **wrong)
    for id in ("", " ", "x" * 129, "a\0"):
        with pytest.raises(InputError, match="id of an event"):
            liked(session, id)


def test_threads_that_send_the_same_event_write_one(database: StateDatabase, key: str, session: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(lambda n: add_events(database, key, [liked(session, f"e{n % 4}")]), range(24)))
    assert sum(written) == rows(database, events) == 4


def test_what_is_forgotten_is_gone_and_the_spend_stays_without_a_name(
    database: StateDatabase, key: str, session: str
) -> None:
    add_events(database, key, [liked(session)])
    accounts_of = ceilings_for(Limits(), key=key, session=session, request="r1")
    settle(database, reserve(database, accounts_of, Spend(1, 100, 50)), Spend(1, 60, 30))
    still = reserve(database, accounts_of, Spend(1, 10, 5))
    kept = create_session(database, key).id
    forget_session(database, key, session)
    for table in (turns, events):
        assert rows(database, table) == 0
    for table in (sessions, accounts, reservation_accounts):
        with database.reading() as connection:
            assert session not in repr(connection.execute(select(table)).all())
    settle(database, still, Spend(1, 10, 5))
    assert spent(database, Account("key", key)) == Spend(2, 70, 35)
    with pytest.raises(UnknownSession):
        forget_session(database, key, session)
    assert find_session(database, key, kept) is not None


def test_old_sessions_are_forgotten_together(database: StateDatabase, key: str) -> None:
    many = [create_session(database, key).id for _ in range(105)]
    between = datetime.now(UTC)
    touch_session(database, key, many[0])
    assert forget_unused(database, before=between) == 104
    assert [found.id for found in page_sessions(database).sessions] == [many[0]]


def test_pages_give_every_session_once(database: StateDatabase, key: str) -> None:
    other = add_key(database, "other")[0].id
    made = [create_session(database, key if number % 3 else other).id for number in range(10)]
    for wanted, chosen in (([m for n, m in enumerate(made) if n % 3], key), (made, None)):
        seen, after = [], None
        while True:
            page = page_sessions(database, key=chosen, after=after, limit=3)
            seen += [found.id for found in page.sessions]
            if (after := page.next) is None:
                break
            if len(seen) == 3 and chosen is None:
                create_session(database, key)  # a new one does not move the others
        assert seen == wanted[::-1]
    for wrong in ("x", "1", "1.", f"{'9' * 30}.a"):
        with pytest.raises(InputError, match="after"):
            page_sessions(database, after=wrong)
    with pytest.raises(InputError, match="limit"):
        page_sessions(database, limit=0)


def test_an_export_holds_everything(database: StateDatabase, key: str, session: str) -> None:
    add_events(database, key, [liked(session, at=datetime(2026, 11, 20, 18, 30, tzinfo=UTC))])
    exported = export_session(database, key, session)
    assert exported["session"] == session
    question, answer = exported["turns"]
    assert question["mentions"] == [{"item": "marzipan", "sentiment": "liked", "span": [8, 16]}]
    assert answer["items"][0] == {"item": "a", "score": 2.5, "why": "It is sweet.", "retriever_rank": 3}
    assert answer["spend"] == {"calls": 1, "tokens": 900, "usd": 1.234567e-06}
    for name in ("filters", "trace", "timings_ms", "model", "degraded", "reason", "bundle"):
        assert answer[name] == getattr(ANSWER, name)
    (event,) = exported["events"]
    assert event.pop("received")
    assert event == {"id": "e1", "turn": 2, "kind": "like", "item": "a", "at": "2026-11-20T18:30:00.000000Z"}
    assert key not in json.dumps(exported)


def test_shown_sets_are_read_with_the_last_verdicts(database: StateDatabase, key: str, session: str) -> None:
    assert list(events_of(database)) == []
    add_events(database, key, [liked(session, "1"), liked(session, "2", kind="refuse"), liked(session, "3", "b")])
    add_events(database, key, [liked(session, "4", "c", kind="click"), liked(session, "5", "c", kind="seen")])
    add_turns(database, key, session, [QUESTION, ANSWER, QUESTION])
    add_events(database, key, [liked(session, "6", "b", kind="shown", turn=4), liked(session, "7", "a", turn=4)])
    first, second = events_of(database)
    assert first.id == f"{session}-2"
    assert first.conversation == conversation_of(session, list_turns(database, key, session)[:1])
    assert first.feedback.shown == ("a", "b", "c")
    assert (first.feedback.liked, first.feedback.refused, first.feedback.clicked) == ({"b"}, {"a"}, {"c"})
    assert (first.policy, second.id) == ("0123abcd", f"{session}-4")
    assert len(second.conversation.turns) == 3
    assert second.feedback.shown == ("a", "b")
    add_events(database, key, [Event("8", session, 4, "shown")])
    assert list(events_of(database))[1].feedback.shown == ("a", "b", "c")
    assert list(events_of(database, key="nobody")) == []


def test_events_of_more_sessions_than_one_transaction_reads(database: StateDatabase, key: str) -> None:
    made = []
    for _ in range(203):
        made.append(create_session(database, key).id)
        add_turns(database, key, made[-1], [QUESTION, ANSWER])
        add_events(database, key, [liked(made[-1], made[-1])])
    assert [event.conversation.id for event in events_of(database)] == made


def _open_and_write(place: str, start: Any, done: Any) -> None:
    start.wait()
    with StateDatabase.open(place) as database:
        key = local_key(database).id
        for _ in range(5):
            add_turns(database, key, create_session(database, key).id, [QUESTION])
    done.put(True)


def test_processes_open_a_new_database_at_once(database_place: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, done = spawn.Barrier(3), spawn.Queue()
    workers = [spawn.Process(target=_open_and_write, args=(database_place, start, done)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert [done.get(timeout=10) for _ in workers] == [True] * 3
    with StateDatabase.open(database_place) as database:
        assert rows(database, turns) == 15


def test_threads_open_a_new_database_at_once(database_place: str) -> None:
    def work(_: int) -> str:
        with StateDatabase.open(database_place) as database:
            return local_key(database).id

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(4))) == {"local"}


def test_a_file_is_in_wal_mode_with_foreign_keys(tmp_path: Path) -> None:
    with StateDatabase.open(tmp_path / "s.sqlite") as database, database.reading() as connection:
        told = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys")]
    assert told == ["wal", 1]


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = foreign.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        StateDatabase.open(foreign)
    assert foreign.read_bytes() == before
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 100)
    with pytest.raises(StoreError, match="is no database"):
        StateDatabase.open(text)
    with pytest.raises(StoreError, match="cannot be opened"):
        StateDatabase.open(tmp_path / "no folder" / "s.sqlite")
    with pytest.raises(SettingsError, match="mysql"):
        StateDatabase.open("mysql://user:secret@host/x")
    with pytest.raises((StoreError, MissingExtra)) as caught:
        StateDatabase.open("postgresql+psycopg://user:topsecret@127.0.0.1:1/x")
    assert "topsecret" not in str(caught.value)
