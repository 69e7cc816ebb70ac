"""What goes into a store comes out of it, and no file breaks the reader."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue import CatalogueStore, Rejection, read_items
from rarec.catalogue.validation import item_problem
from rarec.errors import InputError
from rarec.types import Item, ItemId

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
ITEMS = st.builds(
    Item,
    id=TEXT.map(ItemId),
    title=TEXT,
    text=TEXT,
    year=st.none() | st.integers(-4000, 4000),
    attributes=st.dictionaries(TEXT, st.lists(TEXT, max_size=3).map(tuple), max_size=3),
    popularity=st.floats(),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ROWS = st.dictionaries(st.sampled_from(("id", "title", "text", "year", "popularity", "attributes", "size")), VALUES)


@settings(deadline=None, max_examples=20)
@given(st.lists(ITEMS, max_size=6))
def test_a_store_gives_back_what_it_took(items: list[Item]) -> None:
    good = {item.id: item for item in items if item_problem(item) is None}
    with tempfile.TemporaryDirectory() as folder, CatalogueStore.open(Path(folder) / "c.db", create=True) as store:
        store.add(item for item in items if item_problem(item) is None)
        for item in items:
            if item_problem(item) is not None:
                try:
                    store.add([item])
                except InputError:
                    continue
                raise AssertionError(f"stored {item!r}")
        assert {item.id: item for item in store} == good


@settings(deadline=None, max_examples=50)
@given(st.lists(ROWS, max_size=5))
def test_every_json_row_is_an_acceptable_item_or_a_rejection(rows: list[dict[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        found = list(read_items(path))
    assert len(found) == len(rows)
    ids = [row.id for row in found if isinstance(row, Item)]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(row, Rejection) or item_problem(row) is None for row in found)


@settings(deadline=None, max_examples=50)
@given(
    st.binary(max_size=200), st.sampled_from(("a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz", "a.jsonl.zst"))
)
def test_no_bytes_break_the_reader(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(b"id,title\n" + content if name.endswith("sv") else content)
        try:
            for row in read_items(path):
                assert isinstance(row, (Item, Rejection))
        except InputError:
            pass
