"""A file that only grows: whole lines after any cut, one write for many threads, errors to whom they concern."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rarec.errors import StoreError
from rarec.files import LineFile


def test_lines_come_back_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lines"
    lines = LineFile(path, what="the list")
    assert list(lines.read()) == []
    assert not path.exists()
    assert lines.add(b"one", b"") == 0
    assert lines.add(b"three") == 5
    assert list(lines.read()) == [(0, b"one"), (4, b""), (5, b"three")]
    assert list(lines.read(5)) == [(5, b"three")]


def test_a_cut_line_is_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"whole\ncu")
    lines = LineFile(path, what="the list")
    assert lines.add(b"next") == 9
    assert lines.add(b"last") == 14
    assert path.read_bytes() == b"whole\ncu\nnext\nlast\n"
    assert next(lines.read(9)) == (9, b"next")


def test_threads_get_the_places_of_their_own_lines(tmp_path: Path) -> None:
    lines = LineFile(tmp_path / "lines", what="the list")
    texts = [f"{number} {'x' * number}".encode() for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lines.add, texts))
    assert len(set(places)) == 200
    for place, text in zip(places, texts, strict=True):
        assert next(lines.read(place)) == (place, text)


def test_a_failed_write_is_an_error_and_the_next_line_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "lines"
    lines = LineFile(path, what="the list")
    path.parent.rmdir()
    with pytest.raises(StoreError, match="cannot write the list"):
        lines.add(b"lost")
    path.parent.mkdir()
    lines.add(b"kept")
    assert path.read_bytes() == b"\nkept\n"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the list"):
        LineFile(tmp_path, what="the list")
