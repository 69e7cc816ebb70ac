"""Popularity as a feature: only the order matters, and the tail does not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.retriever.features import PopularityScale, year_features

POPULARITY = st.one_of(st.just(0.0), st.floats(1e-6, 1e9))
CATALOGUE = st.lists(POPULARITY, max_size=60)


@settings(deadline=None, max_examples=50)
@given(catalogue=CATALOGUE, asked=st.lists(POPULARITY, max_size=30))
def test_it_is_bounded_and_rises_with_popularity(catalogue: list[float], asked: list[float]) -> None:
    found = PopularityScale(catalogue)(sorted(asked))
    assert found.shape == (len(asked), 2)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found[:, 0]) >= 0).all()
    unknown = np.array(sorted(asked)) == 0
    assert (found[unknown] == 0).all()
    assert (found[~unknown, 1] == 1).all()


@settings(deadline=None, max_examples=50)
@given(catalogue=CATALOGUE, tail=st.lists(st.floats(0, 0.99), max_size=200))
def test_less_popular_items_change_nothing_for_the_others(catalogue: list[float], tail: list[float]) -> None:
    least = min((p for p in catalogue if p > 0), default=1.0)
    longer = [*catalogue, *(least * share for share in tail)]
    assert np.array_equal(PopularityScale(catalogue)(catalogue), PopularityScale(longer)(catalogue))


@settings(deadline=None, max_examples=50)
@given(catalogue=st.lists(st.integers(0, 1000), min_size=1, max_size=60))
def test_only_the_order_matters(catalogue: list[int]) -> None:
    plain, other = np.array(catalogue, dtype=np.float64), np.array(catalogue, dtype=np.float64) ** 3 * 7
    assert np.array_equal(PopularityScale(plain)(plain), PopularityScale(other)(other))


@settings(deadline=None, max_examples=50)
@given(years=st.lists(st.one_of(st.none(), st.integers(-3000, 3000)), max_size=30))
def test_years_are_bounded_and_in_order(years: list[int | None]) -> None:
    found = year_features(years)
    assert found.shape == (len(years), 2)
    assert (np.abs(found[:, 0]) <= 8).all()
    assert [bool(k) for k in found[:, 1]] == [y is not None for y in years]
    known = sorted(y for y in years if y is not None)
    assert (np.diff(year_features(known)[:, 0]) >= 0).all()
