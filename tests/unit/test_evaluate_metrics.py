"""Metrics by hand."""

import math

import numpy as np
import pytest

from rarec.errors import InputError
from rarec.evaluate import MISS, ndcg_at, recall_at

RANKS = [1, 2, 5, 10, 11, MISS]


def test_recall_counts_ranks_up_to_k() -> None:
    assert recall_at(RANKS, 1).tolist() == [1, 0, 0, 0, 0, 0]
    assert recall_at(RANKS, 5).tolist() == [1, 1, 1, 0, 0, 0]
    assert recall_at(RANKS, 10).tolist() == [1, 1, 1, 1, 0, 0]
    assert recall_at(RANKS, 50).mean() == pytest.approx(5 / 6)


def test_ndcg_discounts_by_the_logarithm_of_the_place() -> None:
    expected = [1.0, 1 / math.log2(3), 1 / math.log2(6), 1 / math.log2(11), 0.0, 0.0]
    assert ndcg_at(RANKS, 10) == pytest.approx(expected)
    assert ndcg_at([3], 2).tolist() == [0.0]
    assert ndcg_at([3], 3).tolist() == [0.5]


def test_no_ranks_give_no_values() -> None:
    assert recall_at([], 5).shape == ndcg_at([], 5).shape == (0,)


@pytest.mark.parametrize("measure", [recall_at, ndcg_at])
def test_what_is_no_rank_is_refused(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        measure([1], 0)
    with pytest.raises(InputError, match="a rank is -1"):
        measure([1, -1], 5)
    with pytest.raises(InputError, match=r"whole numbers, got float64; write a miss as 0"):
        measure(np.array([1.0, np.nan]), 5)
