"""Bounds, monotony and agreement with the plain way of computing it."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rarec.conversations import Example
from rarec.evaluate import (
    EvaluationProtocol,
    Options,
    gold_of,
    interval,
    ndcg_at,
    predict,
    recall_at,
    score,
    top_columns,
)
from rarec.evaluate.score import rows_of, target_ranks
from rarec.types import Conversation, Item, ItemId

RANK = st.integers(0, 60)
K = st.integers(1, 55)
few = settings(deadline=None, max_examples=50)


@few
@given(st.lists(RANK, max_size=20), K)
def test_values_are_between_zero_and_one_and_ndcg_never_passes_recall(ranks: list[int], k: int) -> None:
    recall, ndcg = recall_at(ranks, k), ndcg_at(ranks, k)
    assert len(recall) == len(ndcg) == len(ranks)
    assert np.all((recall >= 0) & (recall <= 1))
    assert np.all((ndcg >= 0) & (ndcg <= recall))
    assert np.all((ndcg > 0) == (recall == 1))


@few
@given(st.integers(1, 60), st.integers(1, 60), K)
def test_a_better_rank_and_a_larger_k_never_lower_a_value(one: int, other: int, k: int) -> None:
    better, worse = sorted((one, other))
    for measure in (recall_at, ndcg_at):
        assert measure([better], k)[0] >= measure([worse], k)[0] >= measure([0], k)[0] == 0
        assert measure([better], k + 1)[0] >= measure([better], k)[0]


@few
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_intervals_lie_within_the_cluster_means_and_turn_with_the_sign(
    rows: list[tuple[float, int]], seed: int
) -> None:
    values, clusters = np.array([v for v, _ in rows]), [c for _, c in rows]
    low, high = interval(values, clusters, generator=np.random.default_rng(seed), samples=50)
    means = [values[np.array(clusters) == c].mean() for c in set(clusters)]
    assert min(means) - 1e-9 <= low <= high <= max(means) + 1e-9
    turned = interval(-values, clusters, generator=np.random.default_rng(seed), samples=50)
    assert np.allclose(turned, (-high, -low))


@few
@given(
    arrays.arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 12)), elements=st.integers(-3, 3)),
    st.integers(1, 15),
)
def test_the_best_columns_are_those_of_a_stable_sort(scores: np.ndarray, n: int) -> None:
    expected = [sorted(range(len(row)), key=lambda c: -row[c])[:n] for row in scores]
    assert top_columns(scores, n=n) == expected


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Example], list[list[ItemId]]]:
    """Examples over ten items, and any list of distinct ones for each."""
    items = [ItemId(str(i)) for i in range(10)]
    examples, lists = [], []
    for index in range(draw(st.integers(1, 5))):
        context = draw(st.lists(st.sampled_from(items), unique=True, max_size=4))
        annotated = draw(st.lists(st.sampled_from([*items, None]), min_size=1, max_size=3))
        repeated = frozenset(context) & frozenset(a for a in annotated if a is not None)
        examples.append(
            Example(f"x{index}", index, f"d{index % 2}", "t", Conversation(), tuple(annotated), repeated,
                    tuple(context))
        )  # fmt: skip
        lists.append(draw(st.lists(st.sampled_from(items), unique=True, max_size=10)))
    return examples, lists


@few
@given(situations(), st.sampled_from(["new-targets", "all-targets"]))
def test_figures_agree_with_counting_by_hand(
    situation: tuple[list[Example], list[list[ItemId]]], protocol: str
) -> None:
    examples, lists = situation

    class Given:
        name = "given"

        def rank(self, asked: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
            return [tuple(lists[e.index][:n]) for e in asked]

    new = protocol == "new-targets"
    expected = []
    for example, ranked in zip(examples, lists, strict=True):
        kept = [i for i in ranked if not (new and i in example.context_items)]
        for target in dict.fromkeys(a for a in example.annotated if a is not None):
            if not (new and target in example.repeated):
                expected.append(kept[:3].index(target) + 1 if target in kept[:3] else 0)
    if not expected:
        return
    items = [Item(ItemId(str(i)), str(i)) for i in range(10)]
    gold = gold_of(examples, items, [], data_set="made up", split="test")
    predictions = predict(Given(), examples, catalogue={item.id for item in items}, depth=3)
    asked = EvaluationProtocol.parse(protocol)
    assert target_ranks(predictions, rows_of(gold, asked)).tolist() == expected
    options = Options(measures=("R@1", "R@3", "N@3"), headline="N@3", samples=10)
    (block,) = score(gold, [predictions], protocols=[asked], options=options)
    assert block.system("given").figures["R@3"].value == recall_at(expected, 3).mean()
