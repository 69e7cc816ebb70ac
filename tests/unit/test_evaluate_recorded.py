"""Recorded ranks: alignment, and every way in which it can fail."""

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate import Recording, read_recorded
from rarec.types import Conversation, ItemId


def example(index: int, *annotated: str | None, repeated: str = "") -> Example:
    return Example(
        id=f"redial_{index}",
        index=index,
        dialogue="d",
        turn="t",
        conversation=Conversation(),
        annotated=tuple(None if a is None else ItemId(a) for a in annotated),
        repeated=frozenset(ItemId(c) for c in repeated),
        context_items=(),
    )


def ranks_file(path: Path, *rows: tuple[int, int, str, int | None], **fixed: Any) -> Path:
    """Rows of (row, index, condition, rank)."""
    same = {"dataset": "redial", "model": "m", "prompt": "general", "filtered": True, "exclude_seen": True, **fixed}
    columns = {name: [value] * len(rows) for name, value in same.items()}
    for at, name in enumerate(("row", "index", "condition", "rank")):
        columns[name] = [row[at] for row in rows]
    table = pyarrow.table(columns)
    for name in ("dataset", "model", "prompt", "condition"):  # as the data folder stores them
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].dictionary_encode())
    parquet.write_table(table, path)
    return path


def read(path: Path, *examples: Example, **changes: Any) -> Any:
    return read_recorded(path, examples, data_set="redial", recording=Recording("m", **changes))


def test_the_kth_row_of_an_index_belongs_to_the_kth_ground_truth(tmp_path: Path) -> None:
    path = ranks_file(
        tmp_path / "r.parquet",
        (12, 7, "rec", 3),
        (10, 7, "rec", 1),
        (11, 7, "dis", None),
        (13, 8, "rec", None),
        (99, 50, "rec", 5),
    )
    found = read(path, example(7, "a", "b", "c", repeated="b"), example(8, None))
    assert found.ranks == {("redial_7", "a"): 1, ("redial_7", "b"): 0, ("redial_7", "c"): 3}
    assert (found.name, found.depth, found.exclude_seen) == ("m", 20, True)


def test_an_item_that_is_annotated_twice_has_its_better_rank(tmp_path: Path) -> None:
    rows = [(0, 1, "rec", 9), (1, 1, "rec", 4), (2, 1, "rec", None), (3, 1, "rec", None)]
    found = read(ranks_file(tmp_path / "r.parquet", *rows), example(1, "a", "a", "a", "b"))
    assert found.ranks == {("redial_1", "a"): 4, ("redial_1", "b"): 0}


def test_a_different_number_of_rows_is_refused_with_the_index(tmp_path: Path) -> None:
    path = ranks_file(tmp_path / "r.parquet", (0, 1, "rec", 9), (1, 2, "rec", 4))
    with pytest.raises(InputError, match=r"index 2 \('redial_2'\) has 1 recorded rows, the example 2 ground truths"):
        read(path, example(1, "a"), example(2, "b", "c"))
    with pytest.raises(InputError, match=r"index 3 \('redial_3'\) has 0 recorded rows"):
        read(path, example(1, "a"), example(3, "b"))


@pytest.mark.parametrize(("condition", "repeated", "ours"), [("rec", "a", "repeated"), ("dis", "", "new")])
def test_a_target_that_is_new_to_one_side_only_is_told_and_keeps_its_rank(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, condition: str, repeated: str, ours: str
) -> None:
    path = ranks_file(tmp_path / "r.parquet", (0, 1, condition, 3))
    recorded = read(path, example(1, "a", repeated=repeated))
    assert list(recorded.ranks.values()) == [3]
    assert f"the target 'a' is {ours} here, but recorded as '{condition}'" in caplog.text


def test_other_recordings_are_not_mixed_in_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = ranks_file(tmp_path / "r.parquet", (0, 1, "rec", 2), exclude_seen=False, prompt="p2")
    found = read(path, example(1, "a"), exclude_seen=False, prompt="p2")
    assert found.ranks == {("redial_1", "a"): 2}
    assert found.name == "m/p2"
    with pytest.raises(InputError, match=r"no rows of Recording\(model='m', .* its models there are \['m'\]"):
        read(path, example(1, "a"))
    with pytest.raises(InputError, match=r"no rows .* for 'inspired'; its models there are \[\]"):
        read_recorded(path, [], data_set="inspired", recording=Recording("m"))


def test_a_rank_beyond_the_recorded_depth_and_a_wrong_file_are_refused(tmp_path: Path) -> None:
    path = ranks_file(tmp_path / "r.parquet", (0, 1, "rec", 21))
    with pytest.raises(InputError, match=r"index 1 has rank 21, outside 1\.\.20"):
        read(path, example(1, "a"))
    parquet.write_table(pyarrow.table({"rank": [1]}), tmp_path / "s.parquet")
    with pytest.raises(InputError, match="has no column 'dataset'"):
        read(tmp_path / "s.parquet", example(1, "a"))
    with pytest.raises(InputError, match="no file"):
        read(tmp_path / "none.parquet", example(1, "a"))
