"""Rewards by hand, and what they refuse."""

import math

import pytest

from rarec.errors import InputError
from rarec.reward import (
    REWARDS,
    Feedback,
    agreement,
    grades,
    leave_one_out_credits,
    mrr,
    ndcg,
    ndcg_credits,
    recall,
    reward_named,
    weighted_sum,
)

LIST = ["a", "b", "c", "d"]


def test_rewards_by_hand() -> None:
    assert ndcg(LIST, {"a"}) == 1.0
    assert ndcg(LIST, {"b"}) == pytest.approx(1 / math.log2(3))
    assert ndcg(LIST, {"b", "d"}) == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3)))
    assert ndcg(LIST, {"a", "b", "c"}, k=2) == 1.0
    assert recall(LIST, {"d", "x"}) == 0.5
    assert recall(LIST, {"d"}, k=3) == 0.0
    assert mrr(LIST, {"d", "c"}) == pytest.approx(1 / 3)
    assert mrr(LIST, {"d"}, k=3) == 0.0


@pytest.mark.parametrize("reward", REWARDS.values())
def test_nothing_ranked_or_nothing_true_in_it_is_worth_nothing(reward) -> None:
    assert reward([], {"a"}, k=10) == 0.0
    assert reward(LIST, {"x"}, k=10) == 0.0
    assert reward(LIST, ["a", "a"], k=10) == 1.0, "a truth that is named twice is one"


def test_a_short_list_cannot_gain() -> None:
    assert ndcg(["a"], {"a", "b"}) < ndcg(["a", "b"], {"a", "b"}) == 1.0
    assert recall(["a"], {"a", "b"}) == 0.5


@pytest.mark.parametrize("reward", [*REWARDS.values(), ndcg_credits])
def test_what_rewards_refuse(reward) -> None:
    with pytest.raises(InputError, match="without a true item has no reward; leave such turns out"):
        reward(LIST, set(), k=10)
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        reward(LIST, {"a"}, k=0)
    with pytest.raises(InputError, match="names 'b' more than once"):
        reward(["a", "b", "c", "b"], {"a"}, k=10)


def test_credits_by_hand() -> None:
    assert ndcg_credits(LIST, {"b"}) == (0.0, pytest.approx(1 / math.log2(3)), 0.0, 0.0)
    assert ndcg_credits([], {"b"}) == ()
    found = leave_one_out_credits(ndcg, LIST, {"b"})
    assert found == (pytest.approx(1 / math.log2(3) - 1), pytest.approx(1 / math.log2(3)), 0.0, 0.0)
    assert leave_one_out_credits(recall, LIST, {"b"}) == (0.0, 1.0, 0.0, 0.0)


def test_agreement_by_hand() -> None:
    feedback = Feedback(
        shown=("a", "b", "c", "d"), clicked=frozenset("bc"), liked=frozenset("c"), refused=frozenset("d")
    )
    assert [feedback.grade(item) for item in "abcd"] == [0.0, 0.5, 1.0, -1.0]
    assert agreement(["c", "b", "a", "d"], feedback) == 1.0
    assert agreement(["d", "a", "b", "c"], feedback) == 0.0
    assert agreement([], feedback) == 0.5
    # pairs ab .5, ac 1, ad 1, bc .5, bd 1.5, cd 2: of 6.5 the order b a c d loses ac (1) and bc (.5)
    assert agreement(["b", "a", "c", "d"], feedback) == pytest.approx(5 / 6.5)
    assert agreement(["x", "c", "y"], feedback) == pytest.approx((1 + 0.5 + 2 + 0.5 * 3) / 6.5)


def test_clicks_lower_down_count_for_more_but_never_more_than_a_like() -> None:
    feedback = Feedback(("a", "b", "c", "d"), clicked=frozenset("abd"), liked=frozenset("a"), refused=frozenset("c"))
    assert grades(feedback) == (1.0, 0.5, -1.0, 0.5)
    assert grades(feedback, eta=0.5) == (1.0, pytest.approx(0.5 * 2**0.5), -1.0, 1.0)
    assert grades(feedback, places=(1, 1, 2, 3), eta=0.5) == (1.0, 0.5, -1.0, pytest.approx(0.5 * 3**0.5))
    assert grades(feedback, places=(1, 10**400, 2, 3), eta=1e300) == (1.0, 1.0, -1.0, 1.0)
    for wrong in ({"eta": -1.0}, {"eta": math.nan}, {"places": (1, 2)}, {"places": (0, 1, 2, 3)}):
        with pytest.raises(InputError, match=r"eta|places"):
            grades(feedback, **wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Feedback(shown=("a", "a")), "names 'a' more than once"),
        (lambda: Feedback(shown=("a",), liked=frozenset("b")), "'b', which was not shown"),
        (lambda: Feedback(shown=("a",), liked=frozenset("a"), refused=frozenset("a")), "'a' is both liked and refused"),
        (lambda: agreement(["a"], Feedback(shown=("a", "b"))), "prefers no shown item to another"),
        (lambda: agreement(["a", "a"], Feedback(shown=("a", "b"), liked=frozenset("a"))), "names 'a' more than once"),
    ],
)
def test_wrong_feedback_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_rewards_by_name() -> None:
    assert reward_named("recall@2")(LIST, {"c"}) == 0.0
    assert reward_named("recall@3")(LIST, {"c"}) == 1.0
    assert reward_named("mrr")(LIST, {"c"}) == pytest.approx(1 / 3)
    assert reward_named("recall")([*"zyxwvutsrq", "a"], {"a"}) == 0.0, "10 without a cut-off"
    assert weighted_sum({"ndcg@10": 2, "recall@1": 0.5})(LIST, {"a"}) == 2.5


@pytest.mark.parametrize("name", ["map@10", "ndcg@", "ndcg@0", "ndcg@x", "ndcg@²", "__import__('os')", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="reward"):
        reward_named(name)


def test_all_faults_of_a_sum_come_in_one_message() -> None:
    with pytest.raises(InputError) as caught:
        weighted_sum({"ndcg@10": 0.0, "map": 1.0, "recall": math.nan})
    assert all(part in str(caught.value) for part in ("'ndcg@10'", "0.0", "unknown reward 'map'", "nan"))
    with pytest.raises(InputError, match="no reward is named"):
        weighted_sum({})
