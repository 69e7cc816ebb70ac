"""JSONL in three packings, and what a bad line says."""

import gzip
import json
import time
from pathlib import Path

import pytest
import zstandard

from rarec.conversations.lines import json_records
from rarec.errors import InputError

ROWS = [{"n": 1}, {"n": 2, "name": "Ghent"}, {"n": 3}]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def write(path: Path, data: bytes) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zst":
        path.write_bytes(zstandard.compress(data))
    else:
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_every_packing_gives_the_same_records(tmp_path: Path, name: str) -> None:
    records = list(json_records(write(tmp_path / name, TEXT)))
    assert [record.value for record in records] == ROWS
    assert [record.line for record in records] == [1, 2, 3]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_an_empty_file_gives_nothing(tmp_path: Path, name: str) -> None:
    assert list(json_records(write(tmp_path / name, b""))) == []


def test_blank_lines_are_skipped_and_still_counted_and_the_last_end_may_be_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"n": 1}\n\n  \n{"n": 2}')
    assert [(record.line, record.value["n"]) for record in json_records(path)] == [(1, 1), (4, 2)]


def test_zstandard_frames_one_after_the_other_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(b'{"n": 1}\n') + zstandard.compress(b'{"n": 2}\n'))
    assert [record.value["n"] for record in json_records(path)] == [1, 2]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_an_archive_cut_at_any_byte_is_refused(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / name, TEXT).read_bytes()
    for length in range(len(whole)):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"is the file complete\?"):
            list(json_records(tmp_path / name))


def test_bytes_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "a.jsonl.zst"):
        (tmp_path / name).write_bytes(b"this is plain text, not an archive\n")
        with pytest.raises(InputError, match="cannot read"):
            list(json_records(tmp_path / name))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"n": 1', r"line 2 is not JSON"),
        (b"[1, 2]", r"line 2 is not a JSON object: \[1, 2\]"),
        (b'{"n": "\xff"}', r"line 2 is not UTF-8 at byte 7"),
        (b"[" * 100_000, r"line 2 is not JSON \(too deep"),
        (b'{"n": ' + b"9" * 10_000 + b"}", r"line 2 is not JSON \(too deep or a number too long"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, says: str) -> None:
    path = write(tmp_path / "a.jsonl", b'{"n": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match=says) as caught:
        list(json_records(path))
    assert "a.jsonl" in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*nowhere\.jsonl.*check the path"):
        list(json_records(tmp_path / "nowhere.jsonl"))
    with pytest.raises(InputError, match="cannot read"):
        list(json_records(tmp_path))


def test_fields_are_checked_and_named_with_their_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"turns": [{"text": "hi"}, {"text": 7}], "items": [1, true], "empty": " "}\n')
    (record,) = json_records(path)
    first, second = record.records("turns")
    assert first.text("text") == "hi"
    with pytest.raises(InputError, match=r"line 1, field 'turns\[1\]\.text': is not text: 7; correct"):
        second.text("text")
    with pytest.raises(InputError, match=r"field 'items\[1\]': is not an item id: True"):
        record.items("items")
    with pytest.raises(InputError, match=r"field 'missing': is missing .*turns"):
        record.get("missing")
    with pytest.raises(InputError, match="field 'empty': is empty"):
        record.name("empty")
    with pytest.raises(InputError, match="field 'items': is not text"):
        record.name("items")
    with pytest.raises(InputError, match="field 'items': is not an object"):
        record.record("items")
    with pytest.raises(InputError, match="field 'empty': is not a list"):
        record.entries("empty")
    with pytest.raises(InputError, match="field 'items': is not a whole number"):
        record.whole("items")
    with pytest.raises(InputError, match=r"field 'turns\[0\]\.text': is 'hi', not one of a, b"):
        first.choice("text", {"a": 1, "b": 2})


def test_a_mark_of_utf8_before_the_first_line_is_no_part_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"\xef\xbb\xbf" + TEXT)
    assert [record.value for record in json_records(path)] == ROWS


def test_lines_longer_than_a_piece_of_the_file_are_whole(tmp_path: Path) -> None:
    sizes = [1, 65_510, 65_536, 65_537, 200_000, 3, 131_072]
    path = write(tmp_path / "a.jsonl", b"\n".join(json.dumps({"n": "x" * size}).encode() for size in sizes))
    assert [len(str(record.value["n"])) for record in json_records(path)] == sizes


def test_a_very_long_line_takes_time_in_proportion(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", b'{"n": "' + b"x" * 40_000_000 + b'"}')
    began = time.process_time()
    assert [len(str(record.value["n"])) for record in json_records(path)] == [40_000_000]
    assert time.process_time() - began < 5  # squared time is 20 s and more
