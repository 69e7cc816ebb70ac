"""Whatever the text, a span spells its title; whatever the line, an error is ours."""

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.conversations import read_examples, read_inspired, read_redial
from rarec.conversations.spans import SpanFinder, without_year
from rarec.errors import InputError
from rarec.types import Item, ItemId

TITLES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), max_size=5)


@settings(deadline=None, max_examples=50)
@given(TITLES, st.text(st.characters(codec="utf-8"), max_size=30), st.data())
def test_spans_spell_their_titles_and_never_overlap(titles: list[str], filler: str, data: st.DataObject) -> None:
    parts = data.draw(st.permutations([*titles, filler, " ", " and "]))
    text = "".join(parts)
    finder = SpanFinder(text)
    spans = []
    for title in titles:
        span = finder.title((title,))
        if span is not None:
            assert text[span[0] : span[1]].lower() == title.lower()
            spans.append(span)
    spans.sort()
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.from_regex(r"[A-Z][a-z]{1,5}( [A-Z][a-z]{1,5})?", fullmatch=True), unique=True, max_size=5))
def test_titles_between_separators_are_all_found(titles: list[str]) -> None:
    finder = SpanFinder(" | ".join(titles))
    # From the longest on, so that a title inside another does not take its place.
    assert all(finder.title((title,)) is not None for title in sorted(titles, key=len, reverse=True))


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=30), st.integers(1800, 2099))
def test_a_year_is_taken_from_the_end_only(title: str, year: int) -> None:
    plain = title.strip()
    assert without_year(f"{plain} ({year})") == plain
    assert without_year(f"{plain} ({year}) x") == f"{plain} ({year}) x".strip()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["conv_id", "turns", "labels", "role", "text", "items", "redial_ids", "titles", "movie_names", "liked",
         "seeker", "example_id", "index", "dialog_id", "turn_id", "context", "context_items", "gt", "item", "title"]
    ), inner, max_size=8),
    max_leaves=15,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.one_of(JSON.map(json.dumps), st.text(max_size=40)))
def test_any_line_is_read_or_refused_with_its_place(tmp_path_factory: pytest.TempPathFactory, line: str) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "any.jsonl"
    path.write_text(line.replace("\n", " "), encoding="utf-8", errors="replace")
    items = [Item(ItemId("1"), "Salt and Rye")]
    for read in (read_redial, read_inspired, lambda p: read_examples(p, catalogue_items=items)):
        assert error_of(read, path) is None or "any.jsonl' line 1" in str(error_of(read, path))


def error_of(read: Callable[[Path], Iterable[object]], path: Path) -> InputError | None:
    try:
        list(read(path))
    except InputError as error:
        return error
    return None
