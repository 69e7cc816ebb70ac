"""Laws of the promotion gate."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.promotion.gate import decide

GRID = 1 / 1024
"""Figures are multiples of it, so that sums are exact and a law is not broken by rounding."""


@st.composite
def trials(draw: st.DrawFn) -> tuple[list[float], list[float], list[int]]:
    """Figures from 0 to 1/2 of turns that come in dialogues of one to three."""
    dialogues = draw(st.integers(2, 12))
    of = [d for d in range(dialogues) for _ in range(draw(st.integers(1, 3)))]
    figure = st.integers(0, 512).map(lambda k: k * GRID) | st.just(0.0)
    new = draw(st.lists(figure, min_size=len(of), max_size=len(of)))
    live = draw(st.lists(figure, min_size=len(of), max_size=len(of)))
    return new, live, of


margins = st.sampled_from([0.0, 0.02, 0.5])


@settings(deadline=None, max_examples=40)
@given(trials(), margins, st.integers(1, 512))
def test_a_constant_added_to_the_new_model_turns_no_promotion_into_a_refusal(
    trial: tuple[list[float], list[float], list[int]], margin: float, steps: int
) -> None:
    new, live, of = trial
    before = decide(new, live, of, margin=margin, least=2)
    after = decide(np.asarray(new) + steps * GRID, live, of, margin=margin, least=2)
    assert after.promoted or not before.promoted
    assert after.low > before.low


@settings(deadline=None, max_examples=40)
@given(trials(), margins, margins)
def test_a_larger_margin_turns_no_promotion_into_a_refusal(
    trial: tuple[list[float], list[float], list[int]], one: float, other: float
) -> None:
    new, live, of = trial
    strict, lax = (decide(new, live, of, margin=m, least=2).promoted for m in sorted((one, other)))
    assert lax or not strict


@settings(deadline=None, max_examples=40)
@given(trials())
def test_of_two_models_at_most_one_takes_the_others_place(trial: tuple[list[float], list[float], list[int]]) -> None:
    new, live, of = trial
    assert not (decide(new, live, of, least=2).promoted and decide(live, new, of, least=2).promoted)


@settings(deadline=None, max_examples=40)
@given(trials(), st.randoms(use_true_random=False))
def test_the_order_of_turns_does_not_matter(
    trial: tuple[list[float], list[float], list[int]], chance: random.Random
) -> None:
    new, live, of = trial
    order = list(range(len(of)))
    chance.shuffle(order)
    one = decide(new, live, of, least=2)
    other = decide([new[i] for i in order], [live[i] for i in order], [of[i] for i in order], least=2)
    assert np.allclose([one.low, one.high], [other.low, other.high], rtol=0, atol=1e-12)
