"""Intervals by dialogue."""

from itertools import combinations

import numpy as np
import pytest

from rarec.errors import InputError
from rarec.evaluate import ClusterBootstrap, interval, paired_interval
from rarec.evaluate.bootstrap import letters


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_two_equal_clusters_have_the_distribution_of_two_coins() -> None:
    # Drawing two of {all hits, all misses} gives 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    draws = ClusterBootstrap(["a", "a", "b", "b"], generator=rng(), samples=20_000)
    means = draws.means(np.array([1.0, 1.0, 0.0, 0.0]))
    shares = [float((means == value).mean()) for value in (0.0, 0.5, 1.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_the_average_of_a_draw_is_over_its_rows_not_its_clusters() -> None:
    # Clusters of 1 and 3 rows: drawn once each, the average is 1/4; it would be 1/2 over cluster means.
    means = ClusterBootstrap([7, 8, 8, 8], generator=rng(), samples=500).means(np.array([1.0, 0.0, 0.0, 0.0]))
    assert set(means.tolist()) == {0.0, 0.25, 1.0}


def test_every_row_its_own_cluster_is_the_usual_standard_error() -> None:
    values = (rng(3).random(4000) < 0.2).astype(float)
    low, high = interval(values, np.arange(4000), generator=rng())
    error = values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.002)


def test_rows_that_come_together_make_a_wider_interval() -> None:
    together = np.repeat((rng(3).random(400) < 0.3).astype(float), 10)
    low, high = interval(together, np.repeat(np.arange(400), 10), generator=rng())
    narrow_low, narrow_high = interval(together, np.arange(4000), generator=rng())
    assert (high - low) / (narrow_high - narrow_low) == pytest.approx(np.sqrt(10), rel=0.1)


def test_ninety_five_percent_of_intervals_hold_the_truth() -> None:
    generator = rng(11)
    held = 0
    for _ in range(200):
        rates = generator.beta(2, 6, size=60)
        values = (generator.random((60, 4)) < rates[:, None]).astype(float).reshape(-1)
        low, high = interval(values, np.repeat(np.arange(60), 4), generator=generator, samples=500)
        held += low <= 0.25 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_paired_differences_ignore_what_both_share() -> None:
    generator = rng(5)
    hard = generator.random(600) * 5
    low, high = paired_interval(hard + 0.1, hard, np.arange(600), generator=rng())
    assert (low, high) == pytest.approx((0.1, 0.1))
    a, b = generator.random(600), generator.random(600)
    assert paired_interval(a, b, np.arange(600), generator=rng()) == pytest.approx(
        interval(a - b, np.arange(600), generator=rng())
    )


def test_one_cluster_and_one_seed() -> None:
    values = np.array([1.0, 0.0, 0.0, 0.0])
    assert interval(values, ["a"] * 4, generator=rng()) == (0.25, 0.25)
    clusters = ["a", "b", "c", "d"]
    assert interval(values, clusters, generator=rng(1)) == interval(values, clusters, generator=rng(1))


def test_columns_are_resampled_together() -> None:
    values = rng(2).random((300, 3))
    draws = ClusterBootstrap(np.arange(300) // 3, generator=rng(), samples=200)
    assert draws.means(values).shape == (200, 3)
    assert draws.intervals(values).shape == (2, 3)
    assert draws.means(values)[:, 1] == pytest.approx(draws.means(values[:, 1]))


def test_figures_do_not_depend_on_how_the_columns_are_multiplied() -> None:
    draws = ClusterBootstrap(rng(2).integers(90, size=500), generator=rng(3), samples=400)
    values, inside = rng(4).random((500, 9)) / 3, rng(5).random(500) < 0.4
    together, in_band = draws.means(values), draws.band_means(values, inside)
    for column in range(9):  # one column or nine, one thread or two: libraries add in another order
        assert (draws.means(values[:, column]) == together[:, column]).all()
        assert (draws.band_means(values[:, [column]], inside)[:, 0] == in_band[:, column]).all()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="no rows to resample"):
        interval(np.empty(0), [], generator=rng())
    with pytest.raises(InputError, match="2 values for 1 rows"):
        interval(np.zeros(2), ["a"], generator=rng())
    with pytest.raises(InputError, match="level must be between 0 and 1, got 95"):
        interval(np.zeros(1), ["a"], generator=rng(), level=95)
    with pytest.raises(InputError, match="samples must be at least 1, got 0"):
        interval(np.zeros(1), ["a"], generator=rng(), samples=0)
    with pytest.raises(InputError, match="3 and 2 values"):
        paired_interval(np.zeros(3), np.zeros(2), ["a"] * 3, generator=rng())


def test_letters_for_many_systems_do_not_take_for_ever() -> None:
    places = np.random.default_rng(0).random(60)
    names = [f"system {at}" for at in range(60)]
    apart = {(names[a], names[b]) for a in range(60) for b in range(a) if abs(places[a] - places[b]) > 0.1}
    found = letters(names, apart)  # inserting the pairs one after the other runs into the time limit
    for a, b in combinations(names, 2):
        assert bool(set(found[a]) & set(found[b])) == ((a, b) not in apart and (b, a) not in apart)


def test_values_next_to_nothing_have_an_interval_too() -> None:
    low, high = interval(np.array([2.2e-311, 0.0]), [0, 1], generator=np.random.default_rng(0), samples=10)
    assert 0 <= low <= high < 1e-300
