"""What came, what went and what changed between two catalogues."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import thing, write_corpus
from rarec.corpus.diff import Difference, difference
from rarec.corpus.differing import differing_fields
from rarec.corpus.either import Items, opened
from rarec.types import Item


def compared(old: list[Item], new: list[Item]) -> Difference:
    sides = [
        Items(name, "", len(items), lambda _, i=items: iter(i), None) for name, items in (("old", old), ("new", new))
    ]
    return difference(*sides, lambda *_: None)


def test_all_that_may_happen(tmp_path: Path) -> None:
    old = [thing(i) for i in range(1200)]
    new = [
        *(thing(i) for i in range(3, 1190)),
        thing(1190, "New name"), thing(1191, year=None, attributes={"kind": ("bag",)}),
        *(thing(i) for i in range(1192, 1200)), thing(5000), thing(5001),
    ]  # fmt: skip
    with (
        opened(write_corpus(tmp_path / "a", old, name="first")) as before,
        opened(write_corpus(tmp_path / "b", new, name="second")) as after,
    ):
        found = difference(before, after, lambda *_: None)
    assert (found.old, found.new) == ("first", "second")
    assert (found.added, found.retired, found.changed, found.unchanged) == (2, 3, 2, 1195)
    assert dict(found.fields) == {"title": 1, "year": 1, "attributes.kind": 1}
    assert found.added_examples == ("t5000  Quarry Lane 5000 (1980)", "t5001  Quarry Lane 5001 (1981)")
    assert found.retired_examples[0] == "t0  Quarry Lane 0 (1950)"
    assert len(found.retired_examples) == 3
    (kind,) = found.changes["attributes.kind"]
    assert (kind.item, kind.before, kind.after) == ("t1191  Quarry Lane 1191", ("box",), ("bag",))
    assert found.changes["year"][0].before == thing(1191).year
    assert found.changes["year"][0].after is None


def test_nothing_and_all() -> None:
    items = [thing(i) for i in range(3)]
    same = compared(items, items)
    assert (same.added, same.retired, same.changed, same.unchanged, dict(same.fields)) == (0, 0, 0, 3, {})
    assert (compared([], items).added, compared(items, []).retired, compared([], []).unchanged) == (3, 3, 0)


_ITEMS = st.dictionaries(
    st.integers(0, 6),
    st.fixed_dictionaries(
        {
            "title": st.sampled_from(["A", "B"]),
            "text": st.sampled_from(["", "x"]),
            "year": st.sampled_from([None, 1, 2]),
            "attributes": st.dictionaries(st.sampled_from("pq"), st.sampled_from([("1",), ("1", "2")]), max_size=2),
        }
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(old=_ITEMS, new=_ITEMS)
def test_it_counts_what_a_comparison_of_all_pairs_counts(
    old: dict[int, dict[str, object]], new: dict[int, dict[str, object]]
) -> None:
    before = {number: thing(number, **fields) for number, fields in old.items()}
    after = {number: thing(number, **fields) for number, fields in new.items()}
    found = compared(list(before.values()), list(after.values()))
    both = before.keys() & after.keys()
    fields = [
        f for number in both for f in differing_fields(before[number], after[number]) if f != "order of attributes"
    ]
    assert (found.added, found.retired) == (len(after.keys() - both), len(before.keys() - both))
    assert dict(found.fields) == {field: fields.count(field) for field in fields}
    assert found.changed + found.unchanged == len(both)
    for field, changes in found.changes.items():
        assert 1 <= len(changes) <= 5
        assert all(change.before != change.after for change in changes), field


def test_a_live_store_may_change_while_it_is_compared() -> None:
    reads = iter([[thing(1), thing(2)], [thing(2)]])
    old = Items("old", "", 2, lambda _: iter(next(reads)), None)
    new = Items("new", "", 2, lambda _: iter([thing(1, "New"), thing(2, "New")]), None)
    found = difference(old, new, lambda *_: None)
    assert (found.changed, [change.item for change in found.changes["title"]]) == (2, ["t2  New (1952)"])
