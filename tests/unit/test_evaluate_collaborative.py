"""Systems that learn from who mentions what: known answers on tiny worlds, and nothing of the size items x items."""

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch

from rarec.conversations import Example
from rarec.errors import InputError, MissingExtra
from rarec.evaluate import ScoredSystem
from rarec.evaluate.baselines import EASE, CoOccurrence, ItemKNN, SASRec
from rarec.evaluate.baselines.mentions import Mentions
from rarec.types import Conversation, Item, ItemId, Mention, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

Make = Callable[..., ScoredSystem]
SYSTEMS: dict[str, Make] = {
    "co-occurrence": CoOccurrence,
    "item-knn": ItemKNN,
    "ease": EASE,
    "sasrec": lambda *given, **more: SASRec(*given, **more, epochs=2, width=8, samples=4),
}
every_system = pytest.mark.parametrize("make", SYSTEMS.values(), ids=SYSTEMS.keys())


def catalogue(ids: str) -> list[Item]:
    """The first is the most popular."""
    return [Item(ItemId(c), c, popularity=float(len(ids) - at)) for at, c in enumerate(ids)]


def said(ids: str, name: str = "k") -> Conversation:
    return Conversation(tuple(Turn("user", c, (Mention(ItemId(c)),)) for c in ids), id=name)


def example(ids: str, name: str = "x") -> Example:
    context = tuple(dict.fromkeys(ItemId(c) for c in ids))
    return Example(name, 0, "d", "t", said(ids), (ItemId("a"),), frozenset(), context)


def ranked(system: ScoredSystem, ids: str) -> str:
    return "".join(system.rank([example(ids)], n=99)[0])


TALKS = ("abc", "abd", "ab", "cd", "ae", "bcd", "ca", "dae", "e", "bc")
"""In training: a 6, b 5, c 5, d 4, e 3; f and g never. No item has two neighbours alike at place 2."""


def world() -> tuple[list[Item], list[Conversation]]:
    return catalogue("abcdefg"), [said(talk) for talk in TALKS]


def seen_matrix(ids: str = "abcde") -> np.ndarray:
    return np.array([[float(c in talk) for c in ids] for talk in TALKS])


def test_mentions_count_each_item_once_and_leave_out_what_is_unknown() -> None:
    columns = {ItemId(c): at for at, c in enumerate("xab")}
    found = Mentions.of([said("baab"), said("zz"), said(""), said("bz")], columns)
    assert found.columns.tolist() == [1, 2]
    assert found.sequences == ((1, 0), (1,))
    assert found.counts.tolist() == [1, 2]
    assert found.matrix().toarray().tolist() == [[1, 1], [0, 1]]


@every_system
def test_what_is_mentioned_beside_the_catalogue_counts_and_is_never_recommended(make: Make) -> None:
    items, training = catalogue("abcdefg"), [*map(said, TALKS), *(said("zg") for _ in range(9)), said("qz")]

    def system(*mentioned: str) -> ScoredSystem:
        return make(items, training, mentioned=[ItemId(c) for c in mentioned])

    knows = system("z", "a", "z")  # a is in the catalogue
    assert sorted(ranked(knows, "z")) == list("abcdefg")
    if make is not SYSTEMS["sasrec"]:  # two epochs are too few to know
        assert ranked(knows, "z")[0] == "g"
    assert ranked(system(), "z") == ranked(system(), "")
    assert knows.scores([example("az")]).shape == (1, 7)
    for context in ("", "q"):  # q is known to nobody
        assert ranked(knows, context) == ranked(knows, "")


def test_ease_is_the_closed_form() -> None:
    system = EASE(*world(), regularisation=0.7)
    seen = seen_matrix()
    inverse = np.linalg.inv(seen.T @ seen + 0.7 * np.eye(5))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    for context in ("a", "be", "acd"):
        expected = sum(weights["abcde".index(c)] for c in context)
        given = system.scores([example(context)])[0]
        assert given[:5] - given[:5].min() == pytest.approx(expected - expected.min(), abs=1e-5)
        assert max(given[5:]) < min(given[:5])


def test_ease_keeps_to_the_items_that_most_conversations_mention() -> None:
    system = EASE(*world(), max_items=2)  # a and b
    assert ranked(system, "a")[:2] == "ba"
    assert ranked(system, "a")[2:] == "cdefg"
    assert ranked(system, "c") == "abcdefg"  # c has no weights: popularity in training


def test_item_knn_adds_the_cosines_of_the_nearest_by_hand() -> None:
    seen = seen_matrix()
    cosine = seen.T @ seen / np.sqrt(np.outer(seen.sum(axis=0), seen.sum(axis=0)))
    np.fill_diagonal(cosine, 0)
    two = np.where(cosine >= np.sort(cosine, axis=1)[:, [-2]], cosine, 0)
    assert (two > 0).sum(axis=1).tolist() == [2, 2, 2, 2, 2]
    for neighbours, similarity in ((2, two), (4, cosine)):
        system = ItemKNN(*world(), weighting="cosine", neighbours=neighbours)
        for context in ("a", "be", "acd"):
            expected = sum(similarity["abcde".index(c)] for c in context)
            given = system.scores([example(context)])[0][:5]
            assert given[expected > 0] == pytest.approx(expected[expected > 0])
            assert (given[expected == 0] < 0).all()


def test_item_knn_orders_what_is_no_neighbour_by_popularity_in_training() -> None:
    system = ItemKNN(catalogue("zyxab"), [said("ab"), said("x"), said("xy"), said("b")], weighting="cosine")
    assert ranked(system, "a") == "bxyaz"  # counts: b 2, x 2, y 1, a 1; x is the more popular of its equals


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_item_knn_weights_conversations(weighting: str) -> None:
    # a goes with b in a short conversation and with c in a long one: the short one says more.
    training = [said("ab"), said("acdefgh"), said("ijkl"), said("b"), said("c"), said("ki"), said("lj")]
    system = ItemKNN(catalogue("abcdefghijkl"), training, weighting=weighting)  # type: ignore[arg-type]
    given = dict(zip("abcdefghijkl", system.scores([example("a")])[0].tolist(), strict=True))
    assert given["b"] > 0
    assert given["c"] > 0
    assert given["i"] < 0


def test_sasrec_learns_what_follows_and_that_order_matters() -> None:
    items = catalogue("abcdefgh")
    training = [said("abc"), said("bad"), said("efg"), said("feh")] * 30
    system = SASRec(items, training, epochs=40, width=16, dropout=0.0, samples=8, learning_rate=0.01)
    new = {
        context: next(c for c in ranked(system, context) if c not in context) for context in ("ab", "ba", "ef", "fe")
    }
    assert new == {"ab": "c", "ba": "d", "ef": "g", "fe": "h"}


def test_sasrec_reads_the_last_items_only() -> None:
    system = SASRec(*world(), epochs=2, width=8, samples=4, max_items=2)
    assert np.array_equal(system.scores([example("eab")]), system.scores([example("ab")]))
    assert not np.array_equal(system.scores([example("ab")]), system.scores([example("ba")]))


def test_sasrec_depends_on_its_seed_and_leaves_that_of_torch_alone() -> None:
    def scores(seed: int) -> np.ndarray:
        return SASRec(*world(), seed=seed, epochs=2, width=8, samples=4).scores([example("ab")])

    before = torch.random.get_rng_state()
    first = scores(1)
    torch.rand(3)
    assert np.array_equal(scores(1), first)
    assert not np.array_equal(scores(2), first)
    torch.random.set_rng_state(before)
    scores(1)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_system
def test_without_known_context_it_is_popularity_in_training(make: Make) -> None:
    system = make(catalogue("gfedcba"), [said(talk) for talk in TALKS])
    for context in ("", "z", "f"):  # none, not in the catalogue, never mentioned in training
        assert ranked(system, context) == "acbdegf"


@every_system
def test_unknown_items_of_a_context_change_nothing(make: Make) -> None:
    system = make(*world())
    assert np.array_equal(system.scores([example("zaf")]), system.scores([example("a")]))


@every_system
def test_what_training_never_mentions_comes_last(make: Make) -> None:
    system = make(*world())
    for context in ("a", "e", "dc", "abcde"):
        assert ranked(system, context).endswith("fg")
        assert np.isfinite(system.scores([example(context)])).all()


@every_system
def test_a_catalogue_of_one_and_training_without_mentions(make: Make) -> None:
    assert ranked(make(catalogue("a"), [said("a"), said("ab")]), "a") == "a"
    for training in ([], [said("")], [said("zz")]):
        system = make(catalogue("ba"), training)
        assert ranked(system, "a") == "ba"
        assert system.scores([]).shape == (0, 2)
        assert system.rank([], n=3) == []


@every_system
def test_a_large_catalogue_needs_nothing_of_its_square(make: Make) -> None:
    items = [Item(ItemId(str(i)), "t", popularity=1.0) for i in range(200_000)]
    mentioned = [[Mention(ItemId(str(7919 * (j + k) % 200_000))) for k in range(3)] for j in range(200)]
    training = [Conversation((Turn("user", "", tuple(row)),)) for row in mentioned]
    first = Example("x", 0, "d", "t", training[0], (), frozenset(), (mentioned[0][0].item,))
    make(items[:3], training[:1])  # what the libraries load when they are first used does not count
    tracemalloc.start()
    try:
        system = make(items, training)
        assert len(system.rank([first] * 3, n=50)[0]) == 50
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6  # the square has 160 GB


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="unknown weighting 'jaccard'; use cosine, tfidf, bm25"):
        ItemKNN(*world(), weighting="jaccard")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neighbours must be at least 1, got 0"):
        ItemKNN(*world(), neighbours=0)
    with pytest.raises(InputError, match="regularisation must be above 0, got 0"):
        EASE(*world(), regularisation=0)
    with pytest.raises(InputError, match="max_items must be at least 1, got 0"):
        EASE(*world(), max_items=0)
    with pytest.raises(InputError, match="epochs must be at least 1, got 0"):
        SASRec(*world(), epochs=0)


@pytest.mark.parametrize(
    ("make", "package"), [(ItemKNN, "implicit"), (EASE, "cornac"), (SASRec, "cornac")], ids=["knn", "ease", "sasrec"]
)
def test_a_missing_library_is_named(make: Make, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"needs the package '{package}'.*pip install -e '\.\[bench\]'"):
        make(*world())
