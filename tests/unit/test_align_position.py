"""Position bias and the share of truth, against rankings whose bias is known."""

from __future__ import annotations

import random

import pytest

from rarec.align.position import position_bias, truth_entered, truth_recall
from rarec.align.rollout import Rollout
from rarec.errors import InputError
from rarec.types import ItemId

N = 10


def rollout(
    turn: str, order: list[int], *, named: int = N, truth: tuple[int, ...] = (0,), degraded: bool = False
) -> Rollout:
    """Items 0 .. 9 are shown in this order of numbers; `order` is the ranking as places shown."""
    shown = tuple(ItemId(str(number)) for number in random.Random(turn).sample(range(N), N))
    ranking = tuple(shown[place] for place in order)
    true = tuple(ItemId(str(number)) for number in truth)
    return Rollout(
        0, turn, 0, true, shown, shown, -1.0, 1.0, 40, "p", named=named, ranking=() if degraded else ranking,
        reward=None if degraded else 0.0, degraded=degraded,
    )  # fmt: skip


def test_who_repeats_the_shown_order_has_slope_one() -> None:
    found = position_bias([rollout(str(turn), list(range(N))) for turn in range(30)], k=3)
    assert found is not None
    assert found.slope == pytest.approx(1.0)
    assert (found.low, found.high) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.mean_rank == tuple(float(rank) for rank in range(1, N + 1))
    assert sum(found.truth_shown) == 30
    for place, (shown, hit) in enumerate(zip(found.truth_shown, found.truth_hit, strict=True)):
        assert hit == (None if not shown else float(place < 3))


def test_who_reverses_it_has_slope_minus_one() -> None:
    found = position_bias([rollout(str(turn), list(range(N))[::-1]) for turn in range(5)])
    assert found is not None
    assert found.slope == pytest.approx(-1.0)


def test_without_bias_the_interval_covers_zero_as_often_as_it_says() -> None:
    chosen = random.Random(0)
    covered = 0
    for trial in range(200):
        rollouts = [rollout(f"{trial}-{turn}", chosen.sample(range(N), N)) for turn in range(25)]
        found = position_bias(rollouts)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert 178 <= covered <= 199, "95 % of 200, within four standard errors"


def test_a_weak_bias_is_found() -> None:
    chosen = random.Random(1)

    def order() -> list[int]:
        return sorted(range(N), key=lambda place: chosen.gauss(0.15 * place, 1))

    found = position_bias([rollout(str(turn), order()) for turn in range(200)])
    assert found is not None
    assert found.low is not None
    assert 0 < found.low < found.slope < 0.6


def test_turns_are_what_is_counted_and_items_without_rank_share_one() -> None:
    one = rollout("a", [2, 0, 1, *range(3, N)], named=1)
    found = position_bias([one, one, rollout("b", [], degraded=True)])
    assert found is not None
    assert (found.rollouts, found.turns, found.low, found.high) == (2, 1, None, None)
    assert found.mean_rank == (6.0, 6.0, 1.0, *[6.0] * 7)


def test_a_true_item_that_the_answer_does_not_rank_is_no_hit() -> None:
    for named, hit in ((1, 0.0), (2, 1.0)):
        place = rollout("a", list(range(N))).shown.index(ItemId("0"))
        others = [other for other in range(N) if other != place]
        found = position_bias([rollout("a", [others[0], place, *others[1:]], named=named)], k=N)
        assert found is not None
        assert found.truth_hit[place] == hit


def test_nothing_to_estimate_from() -> None:
    assert position_bias([]) is None
    assert position_bias([rollout("a", [], degraded=True)]) is None
    with pytest.raises(InputError, match="k must be"):
        position_bias([], k=0)


def test_the_share_of_truth_in_the_sets() -> None:
    order = list(range(N))
    half = rollout("a", order, truth=(1, 77))
    all_of_it = rollout("b", order, truth=(2, 3))
    none = rollout("c", order, truth=(88,))
    assert truth_recall([half, all_of_it, none]) == pytest.approx(0.5)
    assert truth_entered([half, all_of_it, none]) == pytest.approx(2 / 3)
    assert truth_recall([]) is truth_entered([]) is None
    assert truth_recall([rollout("a", [], degraded=True)]) == 1.0
