"""A recipe of a corpus: what it holds, and every mistake in it told at once, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rarec.corpus.downloads import downloads_of
from rarec.corpus.recipe import check_corpus_files, load_corpus_recipe, parse_corpus_recipe
from rarec.corpus.sources import KINDS
from rarec.errors import InputError, SettingsError

HASH = "ab" * 32
TABLE = """
[[sources]]
name = "books"
kind = "table"
files = { list = "books.csv" }
columns = { id = "isbn", title = "name", ids = { isbn = "isbn" }, counts = { sold = "n" } }
"""


def recipe(text: str, folder: Path) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def wrong(values: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as error:
        parse_corpus_recipe(values, source="r.toml")
    return str(error.value)


def source(**values: Any) -> dict[str, Any]:
    columns = {"id": "isbn", "title": "name", "ids": {"isbn": "isbn"}, "counts": {"sold": "n"}}
    return {"name": "books", "kind": "table", "files": {"list": "books.csv"}, "columns": columns, **values}


def test_paths_are_taken_from_the_recipes_folder_and_it_is_named_after_the_file(tmp_path: Path) -> None:
    found = load_corpus_recipe(recipe('folder = "dumps"\nids = ["isbn"]\n' + TABLE, tmp_path))
    assert (found.name, found.folder, found.ids) == ("recipe", (tmp_path / "dumps").resolve(), ("isbn",))
    assert found.paths_of(found.sources[0]) == {"list": (tmp_path / "dumps" / "books.csv").resolve()}
    elsewhere = load_corpus_recipe(tmp_path / "recipe.toml", folder=tmp_path / "other")
    assert elsewhere.folder == (tmp_path / "other").resolve()


def test_files_that_are_missing_are_listed_with_the_keys_that_name_them(tmp_path: Path) -> None:
    address = f'urls = {{ more = {{ url = "https://example.org/a/more.csv", sha256 = "{HASH}" }} }}\n'
    found = load_corpus_recipe(recipe(TABLE + address, tmp_path))
    with pytest.raises(SettingsError) as error:
        check_corpus_files(found)
    assert "sources (books).files.list" in str(error.value)
    assert "sources (books).files.more" in str(error.value)
    assert "rarec corpus fetch" in str(error.value)
    for name in ("books.csv", "more.csv"):
        (tmp_path / name).touch()
    check_corpus_files(found)


def test_every_kind_of_source_is_in_the_message_of_an_unknown_one() -> None:
    text = wrong({"sources": [source(kind="tabel")]})
    assert "sources 1.kind = 'tabel'" in text
    assert "did you mean 'table'" in text
    assert all(kind in text for kind in KINDS)


def test_all_mistakes_of_keys_are_told_at_once() -> None:
    text = wrong({
        "on_bad": "stpo", "resolv": {},
        "sources": [
            source(name="a b", urls={"x": {"url": "ftp://x", "sha256": "0"}}, colums={}),
            {"name": "m", "kind": "merged", "files": {"movie": "m.parquet"}},
            {"name": "t", "kind": "table", "files": {}, "encoding": "utf-16"},
        ],
    })  # fmt: skip
    for words in (
        "on_bad = 'stpo': must be one of skip, stop; did you mean 'stop'?",
        "sources 1 (table).name = 'a b': must match",
        "sources 1 (table).urls.x.url = 'ftp://x': is no http or https address",
        "sources 1 (table).urls.x.sha256 = '0': must match",
        "sources 1 (table).colums: unknown key; did you mean 'columns'?",
        "sources 2 (merged).files.movies: missing",
        "sources 2 (merged).files.movie = 'm.parquet': unknown key; did you mean 'movies'?",
        "sources 3 (table).files: must have at least 1 entry",
        "sources 3 (table).columns: missing",
        "sources 3 (table).encoding = 'utf-16': is no encoding in which lines can be told apart",
        "resolv: unknown key; did you mean 'resolve'?",
    ):
        assert words in text, text


def test_what_does_not_fit_together_is_told_at_once() -> None:
    text = wrong({
        "ids": ["isbm", "isbn", "isbn"], "popularity": {"sols": 1},
        "fields": {"text": {"from": ["bok"], "combine": "all"}, "attributes.genre": {"max": 2}},
        "resolve": {"facts": ["colur"], "numbers": {"prise": 2}},
        "sources": [source(), source(columns={"id": "n", "title": "t", "attributes": {"colour": "c", "price": "p"}})],
    })  # fmt: skip
    for words in (
        "sources: two are called 'books'",
        "ids: 'isbn' stands there twice",
        "ids: no source has ids of 'isbm'; did you mean 'isbn'?",
        "popularity.sols: no source counts it; did you mean 'sold'?",
        "fields.text.from: there is no source 'bok'; did you mean 'books'?",
        "fields.text: has one value; leave combine and max out",
        "fields.attributes.genre: no source gives it",
        "resolve.facts: no source gives the attribute 'colur'; did you mean 'colour'?",
        "resolve.numbers: no source gives the attribute 'prise'; did you mean 'price'?",
    ):
        assert words in text, text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "imdb", "files": {"basics": "b"}, "keep": {"min_votes": 5}}, "keep.min_votes needs files.ratings"),
        ({"kind": "imdb", "files": {"basics": "b", "names": "n"}}, "files.names has names only"),
        ({"kind": "tmdb", "files": {}}, "give files.movies, the films, or files.ids"),
        ({"kind": "tmdb", "files": {"ids": "i", "credits": "c"}}, "add to files.movies"),
        ({"kind": "movielens", "files": {"movies": "m"}, "keep": {"min_ratings": 1}}, "needs files.ratings"),
    ],
)
def test_files_of_a_kind_that_say_nothing_alone_are_refused(values: dict[str, Any], words: str) -> None:
    assert words in wrong({"sources": [{"name": "s", **values}]})


def test_a_later_format_and_a_recipe_of_another_command_are_told_in_a_sentence() -> None:
    assert "update rarec" in wrong({"format": 2, "sources": [source()]})
    assert "does not look like a recipe of `rarec corpus`" in wrong({"format": 1, "judge": {}, "data": {}})


def test_downloads_are_named_after_their_addresses_and_each_comes_once(tmp_path: Path) -> None:
    shared = {"url": "https://example.org/d/ml%20x.zip?a=1", "sha256": HASH.upper()}
    found = parse_corpus_recipe(
        {
            "folder": str(tmp_path),
            "sources": [{"name": "m", "kind": "movielens", "urls": {"movies": shared, "links": shared}}, source()],
        },
        source="r.toml",
    )
    (only,) = downloads_of(found)
    assert (only.path, only.sha256, only.key) == (tmp_path / "ml x.zip", HASH, "m.movies")
    with pytest.raises(InputError, match="no file of the recipe has an address"):
        downloads_of(found, sources=["books"])
    with pytest.raises(InputError, match="no source 'x'"):
        downloads_of(found, sources=["x"])


def test_nothing_is_downloaded_to_outside_of_the_folder(tmp_path: Path) -> None:
    def found(url: str, **files: str) -> Any:
        one = {"name": "m", "kind": "movielens", "files": files, "urls": {"movies": {"url": url, "sha256": HASH}}}
        return downloads_of(parse_corpus_recipe({"folder": str(tmp_path / "dumps"), "sources": [one]}, source="r.toml"))

    assert found("https://example.org/..%2F..%2Fa.zip")[0].path == tmp_path / "dumps" / "a.zip"
    for path in ("../a.zip", str(tmp_path / "a.zip"), "b/../../a.zip"):
        with pytest.raises(InputError, match=r"m\.movies would be downloaded to .* outside of the folder"):
            found("https://example.org/a.zip", movies=path)


def test_two_files_for_one_place_are_refused(tmp_path: Path) -> None:
    urls = {
        "movies": {"url": "https://example.org/a.zip", "sha256": HASH},
        "links": {"url": "https://example.org/b/a.zip", "sha256": HASH},
    }
    found = parse_corpus_recipe({"sources": [{"name": "m", "kind": "movielens", "urls": urls}]}, source="r.toml")
    with pytest.raises(InputError, match=r"m\.movies and m\.links are both to be downloaded"):
        downloads_of(found)


def test_other_titles_can_be_bounded_though_no_source_has_an_attribute_of_them() -> None:
    fields = {"attributes.aka": {"max": 2}}
    assert (
        parse_corpus_recipe({"sources": [source()], "fields": fields}, source="r.toml").fields["attributes.aka"].max
        == 2
    )
