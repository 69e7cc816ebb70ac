"""Logs of interactions: what is read, in which order, and what is refused."""

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from rarec.conversations import Interactions, read_interactions
from rarec.errors import InputError


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_users_come_by_id_and_their_items_by_time(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "log.jsonl",
        [
            {"user": "zoe", "item": "b", "time": 7, "sentiment": "liked"},
            {"user": 12, "item": 4, "time": 2.0, "place": "shop"},
            {"user": "zoe", "item": "a", "time": "3", "sentiment": None},
            {"user": "zoe", "item": "c", "time": 7, "sentiment": "disliked"},
        ],
    )
    assert read_interactions(path) == [
        Interactions("12", ("4",), ("mentioned",)),
        Interactions("zoe", ("a", "b", "c"), ("mentioned", "liked", "disliked")),
    ]


def test_ratings_become_sentiments_where_they_are_told_to(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,time,rating\n" + "".join(f"u,i{r},{r},{r}\n" for r in range(1, 6)) + "u,i6,6,\n")
    dull, good = ("mentioned",), ("liked",)
    assert read_interactions(path)[0].sentiments == ("disliked",) * 2 + dull + good * 2 + dull
    assert read_interactions(path, liked_from=4.5, disliked_to=0)[0].sentiments == dull * 4 + good + dull


def test_dates_of_all_kinds_are_one_order(tmp_path: Path) -> None:
    times = ["2024-05-31T18:00:01", "2024-05-31T20:00:00+02:00", "2024-05-31", "1e9"]
    path = jsonl(tmp_path / "log.jsonl", [{"user": "u", "item": f"i{n}", "time": t} for n, t in enumerate(times)])
    assert read_interactions(path)[0].items == ("i3", "i2", "i1", "i0")
    table = {"user": ["u"] * 2, "item": [3, 1], "time": [datetime(2024, 6, 1), datetime(2024, 5, 1)]}
    parquet.write_table(pyarrow.table(table), tmp_path / "log.parquet")
    assert read_interactions(tmp_path / "log.parquet")[0].items == ("1", "3")
    parquet.write_table(pyarrow.table({**table, "time": [date(2024, 6, 1), date(2024, 7, 1)]}), tmp_path / "d.parquet")
    assert read_interactions(tmp_path / "d.parquet")[0].items == ("3", "1")
    assert datetime.fromisoformat(times[1]).astimezone(UTC).hour == 18


def test_packed_files_and_files_without_rows(tmp_path: Path) -> None:
    (tmp_path / "log.tsv.gz").write_bytes(gzip.compress(b"time\titem\tuser\n1\ta\tu\n"))
    assert read_interactions(tmp_path / "log.tsv.gz") == [Interactions("u", ("a",), ("mentioned",))]
    (tmp_path / "log.csv").write_text("user,item,time\n")
    assert read_interactions(tmp_path / "log.csv") == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"user": ""}, "user is '', which is no id"),
        ({"user": True}, "user is True"),
        ({"item": None}, "item is None"),
        ({"item": 1.5}, "item is 1.5"),
        ({"time": "soon"}, "time is 'soon', neither a number nor a date such as"),
        ({"time": None}, "time is None"),
        ({"time": "nan"}, "time is 'nan'"),
        ({"rating": "good"}, "rating is 'good', not a number"),
        ({"sentiment": "loved"}, "sentiment is 'loved', not one of liked, disliked, mentioned"),
        ({"sentiment": ["liked"]}, r"sentiment is \['liked'\], not one of"),
        ({"sentiment": "liked", "rating": 5}, "it has the rating 5 and the sentiment 'liked', of which one is enough"),
    ],
)
def test_a_wrong_line_is_named_with_its_value(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = {"user": "u", "item": "a", "time": 1}
    path = jsonl(tmp_path / "log.jsonl", [good, {**good, **row}])
    with pytest.raises(InputError, match=rf"log\.jsonl' line 2: {message}.*correct or remove this line"):
        read_interactions(path)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*none\.csv"):
        read_interactions(tmp_path / "none.csv")
    (tmp_path / "log.csv").write_text("user,product,time\nu,a,1\n")
    with pytest.raises(InputError, match=r"log\.csv' has no column 'item', only \['user', 'product', 'time'\]; rename"):
        read_interactions(tmp_path / "log.csv")
    (tmp_path / "log.jsonl").write_text("{\n")
    with pytest.raises(InputError, match=r"log\.jsonl' line 1: not valid JSON"):
        read_interactions(tmp_path / "log.jsonl")
    with pytest.raises(InputError, match="cannot tell the format"):
        read_interactions(tmp_path / "log.txt")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(-3, 3)), max_size=30))
def test_every_event_is_kept_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, int]]
) -> None:
    path = jsonl(
        tmp_path_factory.mktemp("log") / "log.jsonl",
        [{"user": user, "item": f"{item}@{time}", "time": time} for user, item, time in events],
    )
    people = read_interactions(path)
    assert [p.user for p in people] == sorted({user for user, _, _ in events})
    for person in people:
        own = [(time, f"{item}@{time}") for user, item, time in events if user == person.user]
        assert list(person.items) == [item for _, item in sorted(own, key=lambda event: event[0])]
