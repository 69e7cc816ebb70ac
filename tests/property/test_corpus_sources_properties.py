"""Laws of reading dumps: values come back as they were written, in whatever layout, and nothing breaks a reader."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus_sources import read
from rarec.corpus.json_objects import Broken, objects_in
from rarec.corpus.sources.ids import imdb_id, number_id, page_title
from rarec.corpus.sources.joining import NumberSet
from rarec.corpus.sources.literals import literal
from rarec.corpus.sources.movielens import titles_of
from rarec.corpus.sources.values import distinct, number_of, plain_text, split_list, title_in_order, year_of

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Nothing here is about seconds, on however busy a machine."""
PLAIN = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PLAIN
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4), max_leaves=12
)
OBJECTS = st.lists(st.dictionaries(PLAIN, VALUES, max_size=4), max_size=6)


@settings(UNHURRIED)
@given(VALUES)
def test_a_literal_is_read_as_python_writes_it(value: Any) -> None:
    assert literal(repr(value)) == value


@settings(UNHURRIED)
@given(VALUES)
def test_a_literal_is_read_as_json_writes_it(value: Any) -> None:
    assert literal(json.dumps(value)) == value


@settings(UNHURRIED)
@given(st.text(alphabet="[]{}(),:'\"\\abcN01 .-+e\n", max_size=30))
def test_no_text_breaks_the_reader_of_literals(text: str) -> None:
    with contextlib.suppress(ValueError):
        literal(text)


class Slow(io.BytesIO):
    """Gives a few bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size) if size and size > 0 else size)


@settings(UNHURRIED)
@given(OBJECTS, st.sampled_from(["lines", "list", "indented", "wikidata", "glued"]))
def test_objects_are_found_in_any_layout_and_in_any_portions(objects: list[dict[str, Any]], layout: str) -> None:
    texts = [json.dumps(one, ensure_ascii=False) for one in objects]
    text = {
        "lines": "\n".join(texts),
        "list": json.dumps(objects),
        "indented": json.dumps(objects, indent=2, ensure_ascii=False),
        "wikidata": "[\n" + ",\n".join(texts) + "\n]\n",
        "glued": "".join(texts),
    }[layout]
    found = [one for some in objects_in(Slow(text.encode()), max_chars=10**6) for one in some]
    assert [one[1] for one in found if not isinstance(one, Broken)] == objects
    if layout == "lines":
        assert [one[0] for one in found if not isinstance(one, Broken)] == list(range(1, 1 + len(objects)))


@settings(UNHURRIED)
@given(OBJECTS, st.data())
def test_a_line_that_is_cut_costs_that_line_alone(objects: list[dict[str, Any]], data: st.DataObject) -> None:
    broken = json.dumps({"key": "a text that is cut", "more": [1, {"deep": True}]})
    cut = broken[: data.draw(st.integers(1, len(broken) - 1))]
    at = data.draw(st.integers(0, len(objects)))
    texts = [json.dumps(one) for one in objects]
    text = "\n".join([*texts[:at], cut, *texts[at:]]) + "\n"
    found = [one for some in objects_in(io.BytesIO(text.encode()), max_chars=10**6) for one in some]
    assert [one[1] for one in found if not isinstance(one, Broken)] == objects
    assert [one.line for one in found if isinstance(one, Broken)] == [at + 1]


@settings(UNHURRIED)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader_of_objects(content: bytes) -> None:
    for some in objects_in(Slow(content), max_chars=10**6):
        for one in some:
            assert isinstance(one, Broken) or isinstance(one[1], dict)


FIELDS = {
    "tmdb": ("id", "title", "original_title", "genres", "credits", "keywords", "external_ids", "alternative_titles",
             "overview", "release_date", "vote_count", "adult", "imdb_id"),
    "wikipedia": ("title", "year", "href", "extract", "cast", "genres"),
    "wikidata": ("id", "labels", "claims", "sitelinks"),
    "table": ("id", "title", "year", "text", "people", "tags", "n"),
}  # fmt: skip
CLAIMS = st.dictionaries(
    st.sampled_from(["P31", "P57", "P161", "P345", "P577", "P1476"]),
    SCALARS | st.lists(st.fixed_dictionaries({"mainsnak": st.fixed_dictionaries({"datavalue": VALUES})}), max_size=2),
    max_size=3,
)
FILM = [{"mainsnak": {"datavalue": {"value": {"id": "Q11424"}}}}]
MORE: dict[str, dict[str, Any]] = {
    "tmdb": {"files": {"movies": "a.json"}},
    "wikipedia": {"files": {"a": "a.json"}},
    "wikidata": {"files": {"a": "a.json"}},
    "table": {
        "files": {"a": "a.jsonl"},
        "columns": {
            "id": "id", "title": "title", "year": "year", "text": "text", "people": ["people"],
            "attributes": {"tags": "tags"}, "counts": {"n": "n"},
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", FIELDS)
@given(data=st.data())
@settings(UNHURRIED, max_examples=60)
def test_objects_of_any_shape_are_records_or_problems(kind: str, data: st.DataObject) -> None:
    shape = {name: VALUES for name in FIELDS[kind]}
    objects = data.draw(st.lists(st.fixed_dictionaries({}, optional=shape), max_size=3))
    if kind == "wikidata":
        objects = [
            {**one, "id": f"Q{at}", "claims": {**data.draw(CLAIMS), "P31": FILM}} for at, one in enumerate(objects)
        ]
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(json.dumps(one) + "\n" for one in objects)
        (Path(folder) / MORE[kind]["files"].get("movies", "a.jsonl" if kind == "table" else "a.json")).write_text(text)
        found = read(Path(folder), kind=kind, **MORE[kind])
    assert len({record.line for record in found.records} | {one.line for one in found.lost}) <= len(objects) + 1
    for record in found.records:
        assert record.key
        assert record.titles or kind == "wikidata"
        for text in (record.key, record.text, *record.titles, *record.people):
            assert "\0" not in text
            text.encode()


@settings(UNHURRIED)
@given(st.integers(-3000, 3000).filter(bool))
def test_a_year_is_itself(year: int) -> None:
    assert year_of(year) == year_of(str(year)) == year_of(f"{year}.0") == (year, "")


@settings(UNHURRIED)
@given(st.integers(1000, 3000), st.text(st.characters(exclude_categories=("Nd",)), max_size=10))
def test_of_a_range_the_first_year_is_taken_and_said(year: int, between: str) -> None:
    found, note = year_of(f"{year}-{year + 2} {between}")
    assert found == year
    assert str(year) in note


@settings(UNHURRIED)
@given(st.none() | st.text(max_size=30) | st.integers() | st.floats())
def test_cells_of_any_sort_are_values_or_nothing(cell: Any) -> None:
    year, _ = year_of(cell)
    assert year is None or -3000 <= year <= 3000
    number = number_of(cell)
    assert number is None or number >= 0
    assert imdb_id(cell) == imdb_id(imdb_id(cell))
    assert number_id(cell) == number_id(number_id(cell))
    assert page_title(page_title(cell)) == page_title(cell) or "%" in str(cell) or "/" in str(cell)
    assert all(split_list(cell, "|"))


@settings(UNHURRIED)
@given(st.text(st.characters(exclude_characters="<&\r"), max_size=60))
def test_text_without_marks_stays_as_it_is(text: str) -> None:
    assert plain_text(text) == (text.strip(), False)


@settings(UNHURRIED)
@given(st.text(alphabet="<>/&;!- abpbr\n", max_size=60))
def test_no_text_breaks_the_removal_of_html(text: str) -> None:
    plain, _ = plain_text(text)
    assert plain == plain.strip()
    assert len(plain) <= len(text)


@settings(UNHURRIED)
@given(st.lists(st.text(max_size=8)))
def test_distinct_values_are_once_each_and_clean(values: list[str]) -> None:
    found = distinct(values)
    assert len(set(found)) == len(found)
    assert distinct(found) == found
    assert set(found) == {" ".join(value.split()) for value in values} - {""}


WORDS = st.from_regex(r"[A-Z][a-z]{2,8}( [A-Z][a-z]{2,8})?", fullmatch=True)


@settings(UNHURRIED)
@given(WORDS, st.sampled_from(["", "The", "A", "La", "L'"]), st.lists(WORDS, max_size=2), st.integers(1900, 2030))
def test_a_movielens_name_gives_its_titles_back(title: str, article: str, others: list[str], year: int) -> None:
    expected = title if not article else f"{article}{'' if article == chr(76) + chr(39) else ' '}{title}"
    written = f"{title}, {article}" if article else title
    name = f"{written}{''.join(f' ({other})' for other in others)} ({year})"
    assert titles_of(name) == (distinct([expected, *others]), str(year))
    assert title_in_order(written) == expected


@settings(UNHURRIED)
@given(st.sets(st.integers(0, 100_000)), st.sets(st.integers(-9, 200_000)))
def test_a_set_of_numbers_has_what_was_added(added: set[int], asked: set[int]) -> None:
    numbers = NumberSet()
    for number in added:
        numbers.add(number)
    assert {number for number in added | asked if number in numbers} == added
