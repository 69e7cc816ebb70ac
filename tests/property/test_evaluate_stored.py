"""What is kept on disk comes back equal, and damage is never taken for data."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rarec.errors import InputError
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.predictions import Call, Predictions, RankKey
from rarec.evaluate.stored import (
    predictions_bytes,
    read_gold,
    read_predictions,
    write_gold,
    write_predictions,
)
from rarec.types import ItemId

few = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
ITEMS = st.lists(NAME.map(ItemId), max_size=5).map(tuple)
WHOLE = st.none() | st.integers(0, 2**40)
REAL = st.none() | st.floats(0, 1e9)
CALL = st.builds(
    Call, latency_ms=REAL, input_tokens=WHOLE, output_tokens=WHOLE, cost_usd=REAL, named=st.integers(0, 9),
    ungrounded=st.integers(0, 9), repeated=st.integers(0, 9), repaired=st.booleans(), degraded=st.booleans(),
    answer=TEXT,
)  # fmt: skip
SEEN = st.sampled_from(["excluded", "kept"])
RANK_KEY = st.tuples(NAME, NAME.map(ItemId), SEEN)
RANKS: st.SearchStrategy[dict[RankKey, int]] = st.dictionaries(RANK_KEY, st.integers(0, 500), max_size=5)  # type: ignore[arg-type]
PREDICTIONS = st.builds(
    Predictions, system=NAME, depth=st.integers(1, 500), lists=st.dictionaries(NAME, ITEMS, max_size=5), ranks=RANKS,
    calls=st.dictionaries(NAME, CALL, max_size=3), seed=st.none() | st.integers(0, 2**40), lower_bound=st.booleans(),
    catalogue=st.sampled_from(["data-set", "corpus"]), note=TEXT,
)  # fmt: skip


@few
@given(st.lists(PREDICTIONS, max_size=4))
def test_predictions_come_back_equal_and_in_order(tmp_path: Path, given: list[Predictions]) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, given)
    assert list(read_predictions(path)) == given
    assert predictions_bytes(given) == path.read_bytes()  # the same content, byte for byte


EXAMPLE = st.builds(
    GoldExample, id=NAME, dialogue=NAME, turn=TEXT, targets=ITEMS, repeated=ITEMS.map(frozenset), seen=ITEMS,
    turns=st.integers(0, 99), unmapped=st.integers(0, 9),
)  # fmt: skip
ITEM = st.builds(
    GoldItem, title=NAME, year=st.none() | st.integers(-3000, 3000), popularity=st.integers(0, 2**40),
    in_data_set=st.booleans(), attributes=st.dictionaries(NAME, st.lists(TEXT, max_size=3).map(tuple), max_size=3),
)  # fmt: skip


@few
@given(
    st.builds(
        Gold,
        data_set=NAME,
        split=NAME,
        examples=st.lists(EXAMPLE, max_size=4).map(tuple),
        items=st.dictionaries(NAME.map(ItemId), ITEM, max_size=4),
    )
)
def test_the_gold_comes_back_equal_and_in_order(tmp_path: Path, gold: Gold) -> None:
    write_gold(tmp_path, gold)
    again = read_gold(tmp_path)
    assert again == gold
    assert list(again.items) == list(gold.items)


LISTS = {f"x{i}": tuple(ItemId(f"item {(i * j) % 50}") for j in range(1, 9)) for i in range(40)}


def test_a_cut_a_foreign_and_a_later_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, [Predictions("s", 5, {"x": (ItemId("a"),)})])
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(InputError, match="is damaged"):
        read_predictions(path)
    path.write_bytes(content.replace(b'{"format": 1', b'{"format": 2'))
    with pytest.raises(InputError, match="of format 2, later than 1; update rarec"):
        read_predictions(path)
    with pytest.raises(InputError, match="no file"):
        read_predictions(tmp_path / "none.parquet")
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(InputError, match="was not written by rarec"):
        read_predictions(path)


def test_a_changed_page_is_noticed(tmp_path: Path) -> None:
    """Every page has a checksum; the first half of the file is pages."""
    path = tmp_path / "p.parquet"
    write_predictions(path, [Predictions("s", 5, LISTS)])
    content = path.read_bytes()
    for at in range(60, len(content) // 4, 37):
        changed = bytearray(content)
        changed[at] ^= 0x55
        path.write_bytes(bytes(changed))
        try:
            found = read_predictions(path)
        except InputError:
            continue
        assert found[0].lists == LISTS  # what was hit says nothing: an unused field of a page's header
