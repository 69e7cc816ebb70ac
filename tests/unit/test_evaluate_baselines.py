"""Baselines on a catalogue of five."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate import stored_vectors, top_columns
from rarec.evaluate.baselines import CoOccurrence, EmbeddingSimilarity, Popularity, Random, RepeatContext, query_text
from rarec.types import Conversation, Item, ItemId, Mention, Turn

ITEMS = [Item(ItemId(c), c, popularity=p) for c, p in (("a", 1), ("b", 5), ("c", 3), ("d", 3), ("e", 2))]


def said(*groups: str) -> Conversation:
    return Conversation(tuple(Turn("user", g, tuple(Mention(ItemId(c)) for c in g)) for g in groups), id="k")


def example(*groups: str, name: str = "x0") -> Example:
    conversation = said(*groups)
    context = tuple(dict.fromkeys(m.item for m in conversation.mentions()))
    return Example(name, 0, "d", "t", conversation, (ItemId("e"),), frozenset(), context)


def test_popularity_counts_mentions_then_falls_back_to_the_catalogue() -> None:
    system = Popularity(ITEMS, [said("a", "a"), said("e", "zz")])
    assert system.rank([example(), example("b")], n=9) == [("a", "e", "b", "c", "d")] * 2
    assert system.rank([example()], n=3) == [("a", "e", "b")]
    assert Popularity(ITEMS, []).rank([example()], n=9) == [("b", "c", "d", "e", "a")]
    assert system.rank([], n=3) == []


def test_co_occurrence_adds_over_the_context_and_counts_a_conversation_once() -> None:
    training = [said("a", "e", "e"), said("a", "d"), said("b", "d"), said("c", "c", "zz")]
    system = CoOccurrence(ITEMS, training)
    # with a: e 1, d 1; equal sums by conversations in training (d 2, e 1), then b, c, e by popularity
    assert system.rank([example("a")], n=5) == [("d", "e", "a", "b", "c")]
    # with a and b: d 2, e 1
    assert system.rank([example("a", "b")], n=2) == [("d", "e")]
    # nothing known: conversations that mention it, then the catalogue's popularity
    assert system.rank([example("zz")], n=5) == [("d", "a", "b", "c", "e")]


def test_random_depends_on_seed_and_example_and_on_nothing_else() -> None:
    system = Random(ITEMS, seed=3)
    both = system.rank([example(name="x1"), example(name="x2")], n=5)
    assert both == [system.rank([example(name=name)], n=5)[0] for name in ("x1", "x2")]
    assert all(sorted(items) == ["a", "b", "c", "d", "e"] for items in both)
    orders = {system.rank([example(name=f"x{i}")], n=5)[0] for i in range(40)}
    assert len(orders) > 25
    assert Random(ITEMS, seed=4).rank([example(name="x1")], n=5)[0] != both[0]


def test_repeat_context_gives_the_latest_first() -> None:
    assert RepeatContext(ITEMS).rank([example("ae", "a", "zz")], n=4) == [("a", "e", "b", "c")]


class LetterEmbedder:
    """The letters of a text as directions; real enough for cosines."""

    name = "letters"
    dimension = 5

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def embed(self, texts: Sequence[str], *, kind: str = "document", progress: object = None) -> NDArray[np.float32]:
        self.asked += [(kind, text) for text in texts]
        counts = np.array([[text.count(c) for c in "abcde"] for text in texts], np.float32).reshape(-1, 5)
        lengths = np.linalg.norm(counts, axis=1, keepdims=True)
        return np.where(lengths > 0, counts / np.where(lengths == 0, 1, lengths), 1 / np.sqrt(5)).astype(np.float32)


def test_embedding_similarity_compares_text_or_items_or_adds_both() -> None:
    embedder = LetterEmbedder()
    # Item vectors in the order of ITEMS, not of popularity: item a looks like the letter b, and so on round.
    vectors = embedder.embed(list("bcdea"))

    def system(variant: str, **more: float) -> EmbeddingSimilarity:
        return EmbeddingSimilarity(ITEMS, vectors, embedder=embedder, variant=variant, **more)  # type: ignore[arg-type]

    asks = example("a")  # the text says "a", which is the vector of item e; item a has the vector of "b"
    assert system("text").rank([asks], n=1) == [("e",)]
    assert system("items").rank([asks], n=1) == [("a",)]
    scores = system("both", item_weight=2.0).scores([asks])[0]
    assert dict(zip("bcdea", scores.tolist(), strict=True)) == pytest.approx({"e": 1, "a": 2, "b": 0, "c": 0, "d": 0})
    assert embedder.asked[-1] == ("query", "a")
    assert system("items").scores([example()]).tolist() == [[0.0] * 5]


def test_embedding_similarity_refuses_vectors_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"shape \(4, 5\), 5 items and 'letters' need \(5, 5\)"):
        EmbeddingSimilarity(ITEMS, np.zeros((4, 5), np.float32), embedder=LetterEmbedder())
    with pytest.raises(InputError, match="last_messages must be at least 1, got 0"):
        EmbeddingSimilarity(ITEMS, np.zeros((5, 5), np.float32), embedder=LetterEmbedder(), last_messages=0)


def test_a_query_is_the_last_messages() -> None:
    assert query_text(said("a", "", "b", "c"), last_messages=2) == "b\nc"
    assert query_text(said("a", "", "b"), last_messages=9) == "a\nb"
    assert query_text(Conversation(), last_messages=4) == ""


def test_catalogues_are_checked() -> None:
    with pytest.raises(InputError, match="empty catalogue"):
        Popularity([], [])
    with pytest.raises(InputError, match="has 'a' twice"):
        Popularity([*ITEMS, ITEMS[0]], [])


def test_top_columns_cut_ties_by_column_and_refuse_what_has_no_order() -> None:
    scores = np.array([[1, 2, 2, 2, 0], [0, 0, 0, 0, 0], [-np.inf, 1, -np.inf, 0, 5]], np.float32)
    assert top_columns(scores, n=2) == [[1, 2], [0, 1], [4, 1]]
    assert top_columns(scores, n=99) == [[1, 2, 3, 0, 4], [0, 1, 2, 3, 4], [4, 1, 3, 0, 2]]
    with pytest.raises(InputError, match="n must be at least 1, got 0"):
        top_columns(scores, n=0)
    with pytest.raises(InputError, match="row 1 has a score that is not a number"):
        top_columns(np.array([[0, 1], [0, np.nan]], np.float32), n=1)


def vectors_folder(folder: Path, ids: list[int], matrix: NDArray[np.float16]) -> Path:
    parquet.write_table(pyarrow.table({"id": ids, "text": [""] * len(ids)}), folder / "texts.parquet")
    np.save(folder / "minilm_f16.npy", matrix)
    return folder


def test_stored_vectors_are_found_by_id_and_normalised(tmp_path: Path) -> None:
    folder = vectors_folder(tmp_path, [3, 8], np.array([[3, 4], [0, 2]], np.float16))
    found = stored_vectors(folder, [ItemId("8"), ItemId("3")])
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[0, 1], [0.6, 0.8]]))
    with pytest.raises(InputError, match=r"no vector of '9' \(and 1 more\)"):
        stored_vectors(folder, [ItemId("9"), ItemId("10")])
    vectors_folder(tmp_path, [3], np.zeros((2, 2), np.float16))
    with pytest.raises(InputError, match="its texts have 1 rows"):
        stored_vectors(folder, [])
    (folder / "minilm_f16.npy").write_bytes(b"not numpy")
    with pytest.raises(InputError, match="cannot read"):
        stored_vectors(folder, [])
    with pytest.raises(InputError, match="no file"):
        stored_vectors(tmp_path / "nowhere", [])
