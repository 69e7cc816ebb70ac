"""Recorded ranks: alignment, and every way in which it can fail."""

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.recorded import Recording, recorded_predictions, recorded_table
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


def read(path: Path, *examples: Example, name: str = "m", kept: bool = False) -> dict[tuple[str, str], int]:
    """Ranks of one treatment of mentioned items."""
    found = recorded_predictions(
        path, examples, data_set="redial", name=name, treatments=("kept",) if kept else ("excluded",)
    )
    assert (found.system, found.depth) == (name, 20)
    return {(example, item): rank for (example, item, _), rank in found.ranks.items()}


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
    assert found == {("redial_7", "a"): 1, ("redial_7", "b"): 0, ("redial_7", "c"): 3}


def test_an_item_that_is_annotated_twice_has_its_better_rank(tmp_path: Path) -> None:
    rows = [(0, 1, "rec", 9), (1, 1, "rec", 4), (2, 1, "rec", None), (3, 1, "rec", None)]
    found = read(ranks_file(tmp_path / "r.parquet", *rows), example(1, "a", "a", "a", "b"))
    assert found == {("redial_1", "a"): 4, ("redial_1", "b"): 0}


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
    assert list(recorded.values()) == [3]
    assert f"the target 'a' is {ours} here, but recorded as '{condition}'" in caplog.text


def test_other_recordings_are_not_mixed_in_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = ranks_file(tmp_path / "r.parquet", (0, 1, "rec", 2), exclude_seen=False, prompt="p2")
    assert read(path, example(1, "a"), kept=True, name="m/p2") == {("redial_1", "a"): 2}
    with pytest.raises(InputError, match=r"no rows of Recording\(model='m', .* its models there are \['m'\]"):
        read(path, example(1, "a"))
    with pytest.raises(InputError, match=r"no rows .* for 'inspired'; its models there are \[\]"):
        recorded_predictions(path, [], data_set="inspired", name="m")


def test_a_rank_beyond_the_recorded_depth_and_a_wrong_file_are_refused(tmp_path: Path) -> None:
    path = ranks_file(tmp_path / "r.parquet", (0, 1, "rec", 21))
    with pytest.raises(InputError, match=r"index 1 has rank 21, outside 1\.\.20"):
        read(path, example(1, "a"))
    parquet.write_table(pyarrow.table({"rank": [1]}), tmp_path / "s.parquet")
    with pytest.raises(InputError, match="has no column 'dataset'"):
        read(tmp_path / "s.parquet", example(1, "a"))
    with pytest.raises(InputError, match="no file"):
        read(tmp_path / "none.parquet", example(1, "a"))


def both_ways(path: Path, *rows: tuple[int, int, str, int | None, int | None], model: str = "m") -> Path:
    """Rows of (row, index, condition, rank with what was seen excluded, rank with it kept)."""
    parts = [
        parquet.read_table(
            ranks_file(path, *[(*row[:3], row[4 - excluded]) for row in rows], exclude_seen=bool(excluded), model=model)
        )
        for excluded in (1, 0)
    ]
    parquet.write_table(pyarrow.concat_tables(parts, promote_options="default").unify_dictionaries(), path)
    return path


def test_predictions_hold_the_ranks_of_both_treatments(tmp_path: Path) -> None:
    path = both_ways(tmp_path / "r.parquet", (0, 1, "rec", 3, 4), (1, 1, "dis", None, 1), (2, 9, "rec", 1, 1))
    found = recorded_predictions(path, [example(1, "a", "b", repeated="b")], data_set="redial", name="m")
    assert found.ranks == {
        ("redial_1", "a", "excluded"): 3, ("redial_1", "b", "excluded"): 0,
        ("redial_1", "a", "kept"): 4, ("redial_1", "b", "kept"): 1,
    }  # fmt: skip
    assert (found.system, found.depth, found.lists, found.note) == ("m", 20, {}, "")


def test_a_run_that_broke_off_counts_misses_says_so_and_must_not_lack_much(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(place, place, "rec", 1, 1) for place in range(30)]
    path = both_ways(tmp_path / "r.parquet", *rows)
    examples = [example(place, "a") for place in range(31)]
    found = recorded_predictions(path, examples, data_set="redial", name="m")
    assert found.ranks["redial_30", ItemId("a"), "excluded"] == 0
    assert found.ranks["redial_29", ItemId("a"), "excluded"] == 1
    assert found.note == "no answer was recorded for 1 of 31 examples; they count as misses"
    assert "the first is 'redial_30'" in caplog.text
    with pytest.raises(InputError, match=r"index 30 \('redial_30'\) has 0 recorded rows"):
        recorded_predictions(path, examples[25:], data_set="redial", name="m")
    with pytest.raises(InputError, match=r"index 3 \('redial_3'\) has 1 recorded rows, the example 2"):
        recorded_predictions(path, [example(3, "a", "b")], data_set="redial", name="m")


def test_a_table_needs_no_examples(tmp_path: Path) -> None:
    path = both_ways(tmp_path / "r.parquet", (1, 4, "dis", None, 2), (0, 4, "rec", 3, 5), (2, 7, "rec", None, None))
    table = recorded_table(path, "redial", "m")
    assert table.ranks.tolist() == [3, 0, 0]
    assert table.new.tolist() == [True, False, True]
    assert table.clusters.tolist() == [4, 4, 7]
    assert recorded_table(path, "redial", "m", exclude_seen=False).ranks.tolist() == [5, 2, 0]
    with pytest.raises(InputError, match="no rows of"):
        recorded_table(path, "redial", "m/p2")


def test_names_of_recordings_and_back() -> None:
    assert Recording.parse("gpt-4").name == "gpt-4"
    assert Recording.parse("gpt-4/p2") == Recording("gpt-4", "p2")
    assert Recording("gpt-4", "p2").name == "gpt-4/p2"
