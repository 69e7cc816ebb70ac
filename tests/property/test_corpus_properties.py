"""Laws of resolving and merging, on small crowded worlds where much is alike."""

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_records import resolved
from rarec.corpus.judging import Rules
from rarec.corpus.merging import Merger
from rarec.corpus.record import Record
from rarec.types import ItemId

_PEOPLE = ("Ann Lee", "Bo Marsh", "Cy Vale", "Dee Orr", "Eve Fox")
_TITLES = ("Grey Harbour", "The Grey Harbour", "Port gris", "Solo")
_few = st.sampled_from


@st.composite
def worlds(draw: st.DrawFn) -> list[Record]:
    """Records of three sources."""
    records = []
    for number in range(draw(st.integers(1, 9))):
        ids = {name: value for name in ("imdb", "tmdb", "other") if (value := draw(_few(("", "", "1", "2", "3"))))}
        people = tuple(draw(st.lists(_few(_PEOPLE), max_size=3, unique=True)))
        roles = draw(_few(("", "directors", "cast")))
        attributes: dict[str, tuple[str, ...]] = {roles: people} if roles and people else {}
        if kind := draw(_few(("", "", "movie", "tv"))):
            attributes["kind"] = (kind,)
        titles = tuple(draw(st.lists(_few(_TITLES), max_size=2, unique=True)))
        year = draw(_few((None, 1990, 1990, 1991, 1992)))
        source = draw(_few(("a", "b", "c")))
        text = draw(_few(("", "A text.", "Another.")))
        records.append(Record(source, f"{number}", titles, year, ids, people, attributes, text))
    return records


def outcome(records: list[Record], **options: object):  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as folder:
        return resolved(records, Path(folder), sources=("a", "b", "c"), **options)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_records(records: list[Record], chance: random.Random) -> None:
    shuffled = list(records)
    chance.shuffle(shuffled)
    one, other = outcome(records), outcome(shuffled)
    assert one.groups == other.groups
    assert one.joined == other.joined
    assert one.refused == other.refused


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_no_group_has_two_ids_of_a_namespace(records: list[Record]) -> None:
    ids = {(record.source, record.key): record.ids for record in records}
    for group in outcome(records).groups:
        for namespace in ("imdb", "tmdb", "other"):
            assert len({ids[name][namespace] for name in group if namespace in ids[name]}) <= 1


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_unions_connect_each_group_and_refusals_lie_between_groups(records: list[Record]) -> None:
    found = outcome(records)
    groups = {(record.source, record.key): {(record.source, record.key)} for record in records}
    for _, one, other in found.joined:
        assert groups[one] is not groups[other], "a union that joins nothing"
        together = groups[one] | groups[other]
        for name in together:
            groups[name] = together
    assert {frozenset(group) for group in groups.values()} == found.groups
    where = {name: group for group in found.groups for name in group}
    pairs = [frozenset((where[one], where[other])) for _, one, other in found.refused]
    assert all(len(pair) == 2 for pair in pairs)
    assert len(set(pairs)) == len(pairs)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_without_people_and_ids_a_source_is_never_joined_with_itself(records: list[Record]) -> None:
    bare = [Record(r.source, r.key, r.titles, r.year) for r in records]
    for group in outcome(bare, rules=Rules(people=False)).groups:
        assert len({source for source, _ in group}) == len(group)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_merging_what_was_merged_changes_nothing(records: list[Record]) -> None:
    merger = Merger(("a", "b", "c"))
    merged = merger.merge(ItemId("x"), 1.0, records)
    assert (merged is None) == (not any(record.titles for record in records))
    if merged is not None:
        item = merged.item
        again = Record("a", "x", (item.title,), item.year, attributes=item.attributes, text=item.text)
        twice = merger.merge(ItemId("x"), 1.0, [again])
        assert twice is not None
        assert twice.item == item
        for name, places in merged.origin.items():
            assert places
            assert name.startswith("attributes.") or len(places) == 1
