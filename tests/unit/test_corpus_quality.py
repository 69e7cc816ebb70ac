"""What the report says of a catalogue: counted by hand here."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from corpora import thing, write_corpus
from rarec.catalogue import CatalogueStore, starter_items
from rarec.corpus.either import opened
from rarec.corpus.quality import FINDINGS, Quality, examine, year_fences
from rarec.corpus.report.html import page
from rarec.corpus.signs import has_html, has_mojibake, script_of
from rarec.corpus.tallies import Hashes, Lengths, Names, hash_of
from rarec.errors import InputError, StoreError
from rarec.types import Item, ItemId


def quality_of(place: Path) -> Quality:
    with opened(place) as items:
        return examine(items, lambda *_: None)


def found(quality: Quality) -> dict[str, int]:
    return {one.kind: one.items for one in quality.findings if one.items}


ODD = (
    thing(300, "A <i>fine</i> day"),
    thing(301, text="Salt &amp; rye"),
    thing(302, "AmÃ©lie's box"),
    thing(303, text="Nobody\x07 sees it"),
    thing(304, "!?"),
    thing(305, "x" * 150),
    thing(306, year=2031),
    thing(307, year=1200),
    thing(308, "Same words", text="Same words"),
    Item(ItemId("bare"), "Bare"),
    *(thing(number, text="Shared by many.") for number in (310, 311, 312)),
    *(thing(number, text="Shared by two.") for number in (313, 314)),
    thing(315, "quarry  LANE 1", year=thing(1).year, text="Other"),
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("odd") / "c", [*(thing(i) for i in range(150)), *ODD])


def test_every_kind_of_finding_is_found(odd: Path) -> None:
    quality = quality_of(odd)
    assert found(quality) == {
        "shared text": 3, "title is the text": 1, "nothing but a title": 1, "HTML": 2, "mojibake": 1,
        "control characters": 1, "title without a letter": 1, "title far longer": 1, "year ahead": 1,
        "year far from the rest": 1,
    }  # fmt: skip
    assert [one.kind for one in quality.findings] == list(FINDINGS)
    examples = {one.kind: one.examples for one in quality.findings}
    assert examples["HTML"] == ("t300  A <i>fine</i> day (1970)", "t301  Quarry Lane 301 (1971)")
    assert examples["year ahead"] == ("t306  Quarry Lane 306 (2031)",)


def test_what_is_alike(odd: Path) -> None:
    quality = quality_of(odd)
    assert (quality.title_year.groups, quality.title_year.items) == (1, 2)
    assert quality.title_year.examples[0].members == ("t1  Quarry Lane 1 (1951)", "t315  quarry  LANE 1 (1951)")
    assert (quality.same_text.groups, quality.same_text.items) == (2, 5)
    assert [group.items for group in quality.same_text.examples] == [3, 2]
    assert quality.same_text.examples[0].shared == "Shared by many."


def test_fill_rates_years_and_lengths(tmp_path: Path) -> None:
    items = [
        thing(1, text="abc", attributes={"kind": ("box", "bag"), "language": ("en",)}),
        thing(2, text="", year=None, popularity=0.0, attributes={"kind": ("box",)}),
        thing(3, text="abcdefgh", attributes={}, year=1953),
        thing(4, "Соль", text=" ", attributes={"language": ("ru", "en")}, year=1953),
    ]
    quality = quality_of(write_corpus(tmp_path / "c", items))
    assert {field.name: (field.items, field.values) for field in quality.fields} == {
        "title": (4, 1.0), "year": (3, 1.0), "text": (2, 1.0), "popularity": (3, 1.0), "attributes.kind": (2, 1.5),
        "attributes.language": (2, 1.5),
    }  # fmt: skip
    assert quality.languages == {"en": 2, "ru": 1}
    assert quality.scripts == {"Latin": 3, "Cyrillic": 1}
    assert quality.years == {1951: 1, 1953: 2}
    assert quality.text_lengths == ((0, 1, 2), (1, 2, 0), (2, 4, 1), (4, 8, 0), (8, 16, 1))
    assert quality.text_quantiles[0.5] == 5.5
    assert quality.sources == {}


def test_an_empty_catalogue(tmp_path: Path) -> None:
    quality = quality_of(write_corpus(tmp_path / "c", []))
    assert (quality.items, quality.years, quality.text_quantiles, found(quality)) == (0, {}, {}, {})
    assert "There are no items." in page(quality)


def test_a_store_is_looked_at_as_a_corpus_is(odd: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    with CatalogueStore.open(tmp_path / "shop" / "catalogue.sqlite", create=True) as store:
        store.add([*(thing(i) for i in range(150)), *ODD])
    of_store, of_corpus = quality_of(tmp_path / "shop"), quality_of(odd)
    assert (of_store.name, of_store.made) == ("shop", "")
    assert of_store.fields == of_corpus.fields
    assert of_store.same_text == of_corpus.same_text
    assert found(of_store) == found(of_corpus)
    with pytest.raises(InputError, match="neither a corpus"):
        quality_of(tmp_path)


def test_the_starter_catalogue_is_clean() -> None:
    """Real titles and plots, well kept: what is found in it would be found everywhere."""
    from rarec.corpus.either import Items

    items = starter_items()
    quality = examine(Items("starter", "2026", len(items), lambda _: iter(items), None), lambda *_: None)
    assert {"HTML", "mojibake", "control characters", "shared text", "year ahead"}.isdisjoint(found(quality))
    assert quality.title_year.items == 0


def evidence(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "evidence.sqlite")) as made:
        made.executescript(
            "CREATE TABLE items (id TEXT PRIMARY KEY, origin TEXT NOT NULL);"
            "CREATE TABLE records (number INTEGER PRIMARY KEY, item TEXT NOT NULL, source TEXT NOT NULL);"
        )
        made.executemany("INSERT INTO records VALUES (?, ?, ?)", [(1, "t1", "a"), (2, "t1", "b"), (5, "t2", "b")])
        origins = [("t1", {"title": [1], "attributes.kind": [1, 2]}), ("t2", {"title": [5]})]
        made.executemany("INSERT INTO items VALUES (?, ?)", [(i, json.dumps(origin)) for i, origin in origins])
        made.commit()


def test_fill_rates_by_source(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", [thing(1), thing(2)])
    evidence(folder)
    quality = quality_of(folder)
    assert quality.sources == {"b": 2, "a": 1}
    sources = {field.name: field.sources for field in quality.fields}
    assert sources["title"] == {"a": 1, "b": 1}
    assert sources["attributes.kind"] == {"a": 1, "b": 1}
    assert sources["year"] == {}
    assert "By source" in page(quality)
    (folder / "evidence.sqlite").write_bytes(b"no database at all, " * 100)
    with pytest.raises(StoreError, match="cannot read the evidence"):
        quality_of(folder)


def test_the_page_needs_nothing_but_itself(odd: Path) -> None:
    quality = quality_of(odd)
    text = page(quality)
    assert text == page(quality)
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!#)', text)
    assert not re.search(r"url\((?!#)", text)
    assert text.count("<svg") == 4  # fill, years, lengths, scripts
    assert "A &lt;i&gt;fine&lt;/i&gt; day" in text
    assert "<i>fine" not in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_quantiles_tell_which_years_are_far(tmp_path: Path) -> None:
    assert year_fences({}) is None
    assert year_fences({2000: 100}) == (1990, 2010)
    assert year_fences({year: 1 for year in range(1900, 2000)}) == (1851, 2047)
    ancient = {year: 1 for year in range(-500, -400)}
    low, high = year_fences(ancient) or (0, 0)
    assert low < -500 < -400 < high  # nothing is known of what the items are


@pytest.mark.parametrize("text", ["a < b and c > d", "I <3 you", "R&D & more", "AT&T", "x<y>z<1>", "", "if a<b"])
def test_what_only_looks_like_html(text: str) -> None:
    assert not has_html(text) or text == "x<y>z<1>"


@pytest.mark.parametrize(
    "text", ["<br>", "<br/>", 'see <a href="x">it</a>', "</p>", "&nbsp;", "&#39;", "&#x27;", "&quot;"]
)
def test_what_is_html(text: str) -> None:
    assert has_html(f"before {text} after")


@pytest.mark.parametrize(
    "text", ["Amélie", "naïve café", "Ærø", "Čapek", "«Été»", "SÃO PAULO", "Größe", "夜", "Ночь", "½ €5"]
)
def test_what_is_written_right_is_no_mojibake_and_misread_is(text: str) -> None:
    assert not has_mojibake(text)
    misread = text.encode().decode("cp1252", "ignore" if text in ("夜", "Ночь") else "replace")
    if text in ("Amélie", "naïve café", "Größe", "«Été»"):
        assert has_mojibake(misread)


def test_scripts() -> None:
    assert [script_of(text) for text in ("夜と霧", "Ночь", "한국", "ليل", "1984 !?", "ᚠᚢ", "Été")] == [
        "CJK", "Cyrillic", "Hangul", "Arabic", "", "other", "Latin",
    ]  # fmt: skip


def test_tallies() -> None:
    hashes = Hashes()
    for value in (5, 7, 5, 9, 9, 9, 2**63 + 1, 1):
        hashes.add(value)
    assert hashes.repeated(1, largest=True).chosen == {9: 3}
    assert hashes.repeated(1, largest=False).chosen == {5: 2}
    every = hashes.repeated(10, largest=True, least=3)
    assert (every.groups, every.items) == (1, 3)
    assert hash_of("a", None) == hash_of("a", None) != hash_of("a", 1)
    assert Lengths().quantiles() == {}
    assert Lengths().histogram() == []
    names = Names()
    for number in range(1002):
        names.add(str(number))
    names.add("3")
    assert names.counts()["(others)"] == 2
    assert next(iter(names.counts().items()))[1] == 2


@pytest.mark.parametrize(("years", "dashed"), [(range(2010, 2020), False), ([*range(2000, 2020)] * 20 + [1700], True)])
def test_dashed_lines_are_explained_where_there_are_any(years: Iterable[int], dashed: bool, tmp_path: Path) -> None:
    items = [thing(number, year=year) for number, year in enumerate(years)]
    text = page(quality_of(write_corpus(tmp_path / "c", items)))
    assert ("dashed lines" in text) == dashed
    assert ("stroke-dasharray" in text) == dashed


def test_a_year_at_the_end_of_its_axis_is_not_cut(tmp_path: Path) -> None:
    items = [thing(number, year=year) for number, year in enumerate(range(2010, 2020))]
    text = page(quality_of(write_corpus(tmp_path / "c", items)))
    drawing = next(part for part in re.findall(r"<svg.*?</svg>", text, re.DOTALL) if ">Items by year</title>" in part)
    width = float(re.findall(r'viewBox="0 0 ([\d.]+) ', drawing)[0])
    places = [float(x) for x in re.findall(r'<text[^>]*x="([\d.]+)"[^>]*>\d{4}</text>', drawing)]
    assert places
    assert max(places) + 16 <= width


def test_a_phone_shows_plots_whole(odd: Path) -> None:
    assert ".plots .drawing svg { min-width: 0; }" in page(quality_of(odd))
