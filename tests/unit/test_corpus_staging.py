"""Records of sources on disk: whole or not at all, and as they were said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rarec.corpus.record import Problem, Record
from rarec.corpus.staging import Staged, Staging
from rarec.errors import StoreError

FULL = Record(
    "a",
    "k1",
    ("Grey Harbour", "Port gris"),
    1990,
    {"imdb": "tt1"},
    ("Ann Lee",),
    {"genres": ("Drama", "Séance")},
    "A long text.",
    {"votes": 12.5},
    7,
)


def records_in(staging: Staging) -> list[Record]:
    places, _ = staging.places(("a", "b"))
    found = staging.fetch(places.tolist())
    return [found[place] for place in places.tolist()]


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "s")
    assert staging.stage("a", "1", [FULL], counted={"file": 9}) == Staged(1, 0, {"file": 9})
    assert records_in(staging) == [FULL]
    assert [record.text for _, record in staging.scan()] == [""]
    assert [record.text for record in staging.fetch([place for place, _ in staging.scan()], texts=False).values()] == [
        ""
    ]
    staging.close()
    staging = Staging(tmp_path / "s")
    assert staging.staged("a", "1") == Staged(1, 0, {"file": 9})
    assert staging.staged("a", "2") is None
    assert records_in(staging) == [FULL]
    staging.close()


def test_the_order_is_that_of_sources_and_keys_not_of_files(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "s")
    staging.stage("b", "1", [Record("b", "z"), Record("b", "y")])
    staging.stage("a", "1", [Record("a", "q"), Record("a", "p")])
    assert [(r.source, r.key) for r in records_in(staging)] == [("a", "p"), ("a", "q"), ("b", "y"), ("b", "z")]
    staging.close()


def test_a_source_that_breaks_off_is_not_there(tmp_path: Path) -> None:
    def broken() -> Iterator[Record]:
        for number in range(45_000):  # past two commits
            yield Record("a", str(number))
        raise KeyboardInterrupt

    staging = Staging(tmp_path / "s")
    staging.stage("b", "1", [Record("b", "x")])
    with pytest.raises(KeyboardInterrupt):
        staging.stage("a", "1", broken())
    assert staging.staged("a", "1") is None
    assert staging.staged("b", "1") is not None
    staging.stage("a", "1", [FULL])
    assert records_in(staging) == [FULL, Record("b", "x")]
    staging.close()


def test_reading_again_replaces_and_other_sources_can_be_forgotten(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "s")
    staging.stage("a", "1", [FULL, Problem("f", 3, "bad")])
    staging.stage("b", "1", [Record("b", "x")])
    staging.stage("a", "2", [Record("a", "k9")])
    assert [(r.source, r.key) for r in records_in(staging)] == [("a", "k9"), ("b", "x")]
    assert list(staging.problems()) == []
    staging.keep_only(["a"])
    assert [(r.source, r.key) for r in records_in(staging)] == [("a", "k9")]
    staging.close()


def test_what_cannot_be_kept_becomes_a_problem(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "s")
    rows = [
        FULL,
        Record("a", "k1", line=8),
        Record("a", "", line=9),
        Record("a", "k2", counts={"votes": float("nan")}),
        Record("a", "k3", counts={"votes": -1.0}),
        Record("a", "k4", text="\ud800"),
        Problem("dump.csv", 4, "the year is '2019-2021'", "write one", used=True),
        Problem("dump.csv", 0, "cut off", fatal=True),
    ]
    assert staging.stage("a", "1", rows) == Staged(1, 7)
    problems = [problem for _, problem in staging.problems()]
    assert [problem.line for problem in problems] == [8, 9, 0, 0, 0, 4, 0]
    assert "'k1'" in problems[0].reason
    assert problems[-2:] == rows[-2:]
    staging.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"no database at all, but long enough to be read as one" * 100)
    with pytest.raises(StoreError, match="delete the file"):
        Staging(tmp_path / "s")
