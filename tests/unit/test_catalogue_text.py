"""The text that is embedded, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rarec.catalogue import Layout, LayoutLine, item_text, load_layout
from rarec.catalogue.sources.corpus import corpus_items, corpus_popularity
from rarec.errors import InputError, SettingsError
from rarec.types import Item, ItemId

FILM = Item(
    ItemId("1"),
    "The Kite",
    text="A boy. " * 200,
    year=1971,
    attributes={
        "cast": ("A A", "B B", "C C", "D D", "E E"),
        "genres": ("1", "2", "3", "4", "5", "6"),
        "directors": ("X X", "Y Y", "Z Z"),
        "language": ("en",),
    },
)


def test_the_film_layout() -> None:
    expected = (
        "The Kite (1971)\nGenres: 1, 2, 3, 4, 5\nDirected by X X, Y Y\nStarring A A, B B, C C, D D\n"
        + ("A boy. " * 200)[:700]
    )
    assert item_text(FILM, load_layout("film")) == expected


def test_an_item_with_nothing_but_a_title() -> None:
    bare = Item(ItemId("1"), "The Kite")
    assert item_text(bare, load_layout("film")) == item_text(bare) == "The Kite"


def test_the_generic_layout_names_every_attribute_in_order() -> None:
    jam = Item(
        ItemId("1"),
        "Plum jam",
        "Dark.",
        2020,
        {"made_in": ("Ghent",), "empty": (), "taste": ("sour", "dark"), "url": ("https://x.example/7",)},
    )
    assert item_text(jam) == "Plum jam (2020)\nMade in: Ghent\nTaste: sour, dark\nDark."


def test_a_layout_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "jam.toml"
    path.write_text('name = "jam"\nmax_text_chars = 2\n[[lines]]\nattribute = "taste"\nprefix = "Tastes "\n')
    layout = load_layout(path)
    assert layout == Layout(name="jam", max_text_chars=2, lines=(LayoutLine(attribute="taste", prefix="Tastes "),))
    assert item_text(Item(ItemId("1"), "J", "abc", None, {"taste": ("x", "y")}), layout) == "J\nTastes x, y\nab"


def test_every_mistake_of_a_layout_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('max_text_chars = -1\ncolour = "red"\n[[lines]]\nprefix = "x"\n')
    with pytest.raises(SettingsError) as caught:
        load_layout(path)
    for part in ("name", "max_text_chars", "colour", "lines.0.attribute"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["none", "/no/such/file.toml"])
def test_an_unknown_layout_lists_the_known_ones(name: str) -> None:
    with pytest.raises(SettingsError, match="'generic' or 'film'"):
        load_layout(name)


def corpus_file(path: Path, **columns: list[object]) -> Path:
    rows: dict[str, list[object]] = {
        "id": [0, 1],
        "title": ["The Kite", "No Year"],
        "year": [1971, None],
        "plot": ["A boy.", None],
        "genres": [["Drama"], []],
        "language": ["en", None],
        "imdb_votes": [10, None],
        "tmdb_vote_count": [3, None],
        "letterboxd_ratings": [100, None],
        **columns,
    }
    pq.write_table(pa.table(rows), path)
    return path


def test_the_corpus_reader(tmp_path: Path) -> None:
    first, second = corpus_items(corpus_file(tmp_path / "m.parquet"))
    assert first == Item(ItemId("0"), "The Kite", "A boy.", 1971, {"genres": ("Drama",), "language": ("en",)}, 75.0)
    assert second == Item(ItemId("1"), "No Year")


@pytest.mark.parametrize("missing", [(), ("imdb_votes",), ("imdb_votes", "tmdb_vote_count", "letterboxd_ratings")])
def test_popularity_alone_is_that_of_the_items(tmp_path: Path, missing: tuple[str, ...]) -> None:
    path = corpus_file(tmp_path / "m.parquet")
    pq.write_table(pq.read_table(path).drop_columns(list(missing)), path)
    found = corpus_popularity(path)
    assert found == [item.popularity for item in corpus_items(path)]
    assert found[0] == (0.0 if len(missing) == 3 else 75.0)


def test_the_corpus_reader_refuses_other_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="no column 'title'"):
        list(corpus_items(tmp_path / "other.parquet"))
    with pytest.raises(InputError, match="no file"):
        list(corpus_items(tmp_path / "none.parquet"))
    (tmp_path / "text.parquet").write_text("x")
    with pytest.raises(InputError, match="as Parquet"):
        list(corpus_items(tmp_path / "text.parquet"))
    for name in ("other", "none", "text"):
        with pytest.raises(InputError):
            corpus_popularity(tmp_path / f"{name}.parquet")


@pytest.mark.shared_data
def test_the_film_layout_is_what_was_embedded(shared_data: Path) -> None:
    texts = pq.read_table(shared_data / "embeddings" / "texts.parquet").to_pydict()
    embedded = dict(zip(map(str, texts["id"]), texts["text"], strict=True))
    layout = load_layout("film")
    same = read = 0
    popularity, alone = float("inf"), corpus_popularity(shared_data / "corpus" / "movies.parquet")
    for place, item in enumerate(corpus_items(shared_data / "corpus" / "movies.parquet")):
        assert item.id == str(place)
        assert item.popularity <= popularity
        popularity = item.popularity
        assert popularity == alone[place]
        read += 1
        same += item_text(item, layout) == embedded.get(str(item.id))
    assert (read, same) == (231_171, len(embedded))
