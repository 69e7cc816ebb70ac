"""Choosing candidates that are good and different."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.candidates import diversify


def a(values: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, dtype=np.float32)


problems = st.integers(0, 12).flatmap(
    lambda m: st.tuples(
        st.lists(st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3), min_size=m, max_size=m),
        st.lists(st.floats(-5, 5, width=32), min_size=m, max_size=m),
        st.integers(0, 15),
        st.floats(0, 1),
    )
)


@settings(deadline=None, max_examples=50)
@given(problems)
def test_as_many_as_asked_each_once(problem: tuple[list[list[float]], list[float], int, float]) -> None:
    vectors, scores, n, weight = problem
    chosen = diversify(a(vectors).reshape(len(scores), 3), a(scores), n=n, weight=weight)
    assert len(chosen) == min(n, len(scores))
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(range(len(scores)))


@settings(deadline=None, max_examples=50)
@given(problems)
def test_without_weight_it_is_the_plain_order(problem: tuple[list[list[float]], list[float], int, float]) -> None:
    vectors, scores, n, _ = problem
    chosen = diversify(a(vectors).reshape(len(scores), 3), a(scores), n=n, weight=0)
    assert [scores[i] for i in chosen] == sorted(scores, reverse=True)[:n]


@settings(deadline=None, max_examples=50)
@given(problems)
def test_fewer_are_the_beginning_of_more(problem: tuple[list[list[float]], list[float], int, float]) -> None:
    vectors, scores, n, weight = problem
    matrix = a(vectors).reshape(len(scores), 3)
    assert diversify(matrix, a(scores), n=n, weight=weight) == diversify(matrix, a(scores), n=99, weight=weight)[:n]


@settings(deadline=None, max_examples=30)
@given(problems, st.floats(0.5, 10), st.floats(-5, 5))
def test_every_step_takes_the_largest_margin(
    problem: tuple[list[list[float]], list[float], int, float], scale: float, shift: float
) -> None:
    """The formula, one candidate at a time and in double precision; near ties may fall either way."""
    vectors, scores, n, weight = problem
    moved = [s * scale + shift for s in scores]
    chosen = diversify(a(vectors).reshape(len(scores), 3), a(moved), n=n, weight=weight)
    low, high = min(scores, default=0.0), max(scores, default=0.0)

    def cosine(i: int, j: int) -> float:
        lengths = math.hypot(*vectors[i]) * math.hypot(*vectors[j])
        return sum(x * y for x, y in zip(vectors[i], vectors[j], strict=True)) / lengths if lengths else 0.0

    def value(i: int, taken: list[int]) -> float:
        gain = (1 - weight) * (scores[i] - low) / (high - low) if high > low else 0.0
        return gain - weight * max(cosine(i, j) for j in taken) if taken else gain

    if high - low < 1e-2 or any(0 < math.hypot(*v) < 1e-2 for v in vectors):
        return  # in single precision differences of this size are noise
    for step, pick in enumerate(chosen):
        taken = chosen[:step]
        best = max(value(i, taken) for i in range(len(scores)) if i not in taken)
        assert value(pick, taken) >= best - 1e-2


def test_by_hand() -> None:
    # Two alike at the top, a third that differs: the third goes before the twin.
    vectors = a([[1, 0], [2, 0], [0, 3]])
    assert diversify(vectors, a([1.0, 0.9, 0.5]), n=3) == [0, 2, 1]
    assert diversify(vectors, a([1.0, 0.9, 0.5]), n=3, weight=0.01) == [0, 1, 2]


@pytest.mark.parametrize("scores", [[0, 0, 0, 0], [7, 7, 7, 7]])
def test_equal_scores_and_zero_vectors(scores: list[float]) -> None:
    vectors = a([[0, 0], [1, 0], [0, 0], [0, 1]])
    for n, weight in itertools.product(range(5), (0, 0.5, 1)):
        assert len(set(diversify(vectors, a(scores), n=n, weight=weight))) == n
    assert diversify(vectors, a(scores), n=-3) == []


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_wrong_weight(weight: float) -> None:
    with pytest.raises(ValueError, match="weight must be between 0 and 1"):
        diversify(a([[1.0]]), a([1.0]), n=1, weight=weight)
