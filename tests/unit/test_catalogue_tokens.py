"""Texts bounded by the tokens of the model that reads them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue import CatalogueStore, Layout, item_text, load_layout, starter_items
from rarec.catalogue.text import PACKAGED
from rarec.catalogue.tokens import EstimatedTokens, Tokens, cut_to_tokens
from rarec.embed import CachedEmbedder, MiniLMEmbedder, OpenAIEmbedder, tokens_of
from rarec.errors import SettingsError
from rarec.testing import HashEmbedder
from rarec.types import Item, ItemId


class Letters:
    """A token a letter, three for one that is not ASCII, none for white space, and one around a text."""

    around = 1

    def ends(self, text: str) -> Sequence[int]:
        return [p + 1 for p, c in enumerate(text) if not c.isspace() for _ in range(1 if c.isascii() else 3)]


@pytest.fixture(scope="module")
def minilm() -> Tokens:
    found = tokens_of(MiniLMEmbedder())
    assert found is not None
    return found


def test_a_text_that_fits_stays_as_it_is(minilm: Tokens) -> None:
    for text in ("", "  two  words \n", "x" * 100):
        assert cut_to_tokens(text, 250, minilm) == text


def test_it_is_cut_at_a_word() -> None:
    assert cut_to_tokens("one two three", 12, Letters()) == "one two three"
    assert cut_to_tokens("one two three", 11, Letters()) == "one two"
    assert cut_to_tokens("one two three", 7, Letters()) == "one two"
    assert cut_to_tokens("x" * 100, 11, Letters()) == "x" * 10  # no word ends shortly before
    assert cut_to_tokens("\u4e00" * 100, 12, Letters()) == "\u4e00" * 3
    assert cut_to_tokens("one two", 1, Letters()) == ""


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=200), limit=st.integers(1, 60))
@pytest.mark.parametrize("kind", ["minilm", "estimated", "letters"])
def test_no_text_has_more_tokens_than_it_may(minilm: Tokens, kind: str, text: str, limit: int) -> None:
    tokens: Tokens = {"minilm": minilm, "estimated": EstimatedTokens(), "letters": Letters()}[kind]
    cut = cut_to_tokens(text, limit, tokens)
    assert text.startswith(cut)
    assert not cut or tokens.around + len(tokens.ends(cut)) <= limit
    if tokens.around + len(tokens.ends(text)) <= limit:
        assert cut == text


def test_the_tokens_of_minilm_are_those_that_it_reads(minilm: Tokens) -> None:
    """The model reads 256: more words than that change nothing, as tests/unit/test_embed_minilm.py shows."""
    assert minilm.around == 2
    assert len(minilm.ends("sea " * 254)) == 254
    assert list(minilm.ends("a sea")) == [1, 5]
    assert list(minilm.ends("")) == []


def test_a_cached_embedder_has_the_tokens_of_the_real_one(minilm: Tokens, tmp_path) -> None:
    with CachedEmbedder(MiniLMEmbedder(), tmp_path / "c.sqlite") as cached:
        assert cached.tokens is not None
        assert list(cached.tokens.ends("a sea")) == list(minilm.ends("a sea"))
    with CachedEmbedder(HashEmbedder(8), tmp_path / "c.sqlite") as cached:
        assert cached.tokens is None
    assert tokens_of(OpenAIEmbedder("words", dimension=8)) is None


def test_the_estimate_is_on_the_safe_side_of_minilm(minilm: Tokens) -> None:
    texts = [item_text(item) for item in starter_items()[::10]]
    estimate = EstimatedTokens()
    assert len(texts) > 150
    assert all(len(minilm.ends(text)) <= len(estimate.ends(text)) <= 2 * len(minilm.ends(text)) for text in texts)


def test_a_layout_is_bounded_by_tokens(minilm: Tokens) -> None:
    item = Item(ItemId("1"), "Plum jam", "Dark and very tart. " * 100, 2020, {"made_in": ("Ghent",)})
    layout = Layout(name="short", other_attributes=True, max_text_chars=10_000, max_tokens=40)
    text = item_text(item, layout, minilm)
    assert text.startswith("Plum jam (2020)\nMade in: Ghent\nDark and very tart. Dark")
    assert 35 <= len(minilm.ends(text)) + 2 <= 40
    assert not text[-1].isspace()
    estimated = item_text(item, layout)  # where the tokeniser is not at hand
    assert EstimatedTokens().around + len(EstimatedTokens().ends(estimated)) <= 40
    assert estimated.startswith("Plum jam (2020)\nMade in: Ghent\nDark and very tart. Dark")


def test_the_packaged_layouts() -> None:
    assert [load_layout(name).name for name in PACKAGED] == list(PACKAGED)
    assert [load_layout(name).max_tokens for name in PACKAGED] == [None, None, 256, 256, 256]
    novel = Item(ItemId("1"), "Salt and Rye", "A baker writes letters.", 1999, {
        "pages": ("300",), "language": ("en",), "authors": ("A A", "B B", "C C", "D D"), "subjects": ("bread",),
        "genres": ("Novel",), "series": ("Mills",),
    })  # fmt: skip
    assert item_text(novel, load_layout("books")) == (
        "Salt and Rye (1999)\nBy A A, B B, C C\nSeries: Mills\nGenres: Novel\nAbout bread\nLanguage: en\n"
        "A baker writes letters."
    )
    game = Item(ItemId("1"), "Quarry Lane", "", None, {"players": ("2-4",), "mechanics": ("auction", "tiles")})
    assert item_text(game, load_layout("games")) == "Quarry Lane\nMechanics: auction, tiles\nPlayers: 2-4"
    kettle = Item(ItemId("1"), "Kettle 3", "", None, {"volume": ("1 l",), "brand": ("Orrin",), "use": ("camping",)})
    assert item_text(kettle, load_layout("shop")) == "Kettle 3\nBrand: Orrin\nFor camping\nVolume: 1 l"


def test_a_limit_is_kept_by_the_store(tmp_path) -> None:
    with CatalogueStore.open(tmp_path / "c.db", create=True, layout=load_layout("books")) as store:
        assert store.layout == load_layout("books")


def test_a_limit_that_leaves_nothing_is_refused(tmp_path) -> None:
    (tmp_path / "tiny.toml").write_text('name = "tiny"\nmax_tokens = 3\n')
    with pytest.raises(SettingsError, match="max_tokens"):
        load_layout(tmp_path / "tiny.toml")
