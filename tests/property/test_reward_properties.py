"""Bounds and monotonicity of rewards."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rarec.reward import REWARDS, Feedback, agreement, leave_one_out_credits, ndcg, ndcg_credits, recall, weighted_sum

ITEMS = [f"i{n}" for n in range(12)]
RANKINGS = st.permutations(ITEMS).flatmap(lambda order: st.integers(0, 12).map(lambda n: list(order[:n])))
TRUTHS = st.sets(st.sampled_from([*ITEMS, "elsewhere"]), min_size=1)
NAMES = st.sampled_from(sorted(REWARDS))


@given(NAMES, RANKINGS, TRUTHS, st.integers(1, 15))
def test_rewards_are_from_0_to_1(name: str, ranking: list[str], truth: set[str], k: int) -> None:
    assert 0.0 <= REWARDS[name](ranking, truth, k=k) <= 1.0 + 1e-12


@given(NAMES, RANKINGS, TRUTHS, st.integers(1, 15), st.data())
def test_a_true_item_that_moves_up_never_costs(
    name: str, ranking: list[str], truth: set[str], k: int, data: st.DataObject
) -> None:
    hits = [at for at, item in enumerate(ranking) if item in truth and at > 0]
    assume(hits)
    at = data.draw(st.sampled_from(hits))
    better = ranking.copy()
    better[at - 1], better[at] = better[at], better[at - 1]
    assert REWARDS[name](better, truth, k=k) >= REWARDS[name](ranking, truth, k=k)


@given(NAMES, RANKINGS, TRUTHS, st.integers(1, 15))
def test_what_stands_after_k_and_what_is_appended_false_is_nothing(
    name: str, ranking: list[str], truth: set[str], k: int
) -> None:
    reward = REWARDS[name]
    assert reward(ranking, truth, k=k) == reward(ranking[:k], truth, k=k) == reward([*ranking, "no"], truth, k=k)


@given(TRUTHS, st.integers(1, 15))
def test_the_truth_first_is_the_best(truth: set[str], k: int) -> None:
    ideal = [*sorted(truth), "no"]
    assert ndcg(ideal, truth, k=k) == pytest.approx(1.0)
    assert recall(ideal, truth, k=20) == 1.0


@given(RANKINGS, TRUTHS, st.integers(1, 15))
def test_credits_add_up_to_the_reward(ranking: list[str], truth: set[str], k: int) -> None:
    credits = ndcg_credits(ranking, truth, k=k)
    assert len(credits) == len(ranking)
    assert sum(credits) == pytest.approx(ndcg(ranking, truth, k=k))
    assert all(
        (credit > 0) == (item in truth and at < k)
        for at, (credit, item) in enumerate(zip(credits, ranking, strict=True))
    )


@given(RANKINGS, TRUTHS)
def test_a_distractor_never_has_credit(ranking: list[str], truth: set[str]) -> None:
    credits = leave_one_out_credits(ndcg, ranking, truth)
    assert all(credit <= 1e-12 for credit, item in zip(credits, ranking, strict=True) if item not in truth)


@given(RANKINGS, TRUTHS, st.floats(0.1, 3), st.floats(0.1, 3))
def test_a_weighted_sum_is_one(ranking: list[str], truth: set[str], one: float, other: float) -> None:
    found = weighted_sum({"ndcg@10": one, "recall@20": other})(ranking, truth)
    assert found == pytest.approx(one * ndcg(ranking, truth) + other * recall(ranking, truth, k=20))


@given(st.lists(st.sampled_from(("clicked", "liked", "refused", "shown")), min_size=2, max_size=8), st.data())
def test_agreement_of_a_list_and_of_its_reverse_make_one(verdicts: list[str], data: st.DataObject) -> None:
    assume(len(set(verdicts)) > 1)
    shown = tuple(ITEMS[: len(verdicts)])
    by = {
        v: frozenset(i for i, own in zip(shown, verdicts, strict=True) if own == v) for v in set(verdicts) - {"shown"}
    }
    feedback = Feedback(shown=shown, **by)
    ranking = data.draw(st.permutations(shown))
    found = agreement(ranking, feedback)
    assert 0.0 <= found <= 1.0
    assert found + agreement(ranking[::-1], feedback) == pytest.approx(1.0)
    assert agreement(sorted(shown, key=lambda i: -feedback.grade(i)), feedback) == 1.0
    place = data.draw(st.integers(0, len(shown) - 2))
    if feedback.grade(ranking[place]) < feedback.grade(ranking[place + 1]):
        better = list(ranking)
        better[place], better[place + 1] = better[place + 1], better[place]
        assert agreement(better, feedback) > found
