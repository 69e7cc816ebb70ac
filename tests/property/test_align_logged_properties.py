"""Shown sets as rollouts: whatever people did gives finite losses, and what they liked rises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rarec.align.batches import proposed
from rarec.align.learners import DPO, GRPO, BaseLearner, CreditAssigned, JudgedBatch, MultDPO, PolicyGradient, Top1
from rarec.align.logged import LoggedSet, LoggedSets
from rarec.align.losses import nll_loss
from rarec.align.policy import ordered_log_prob
from rarec.align.scorer import Scorer, truth_mask
from rarec.align.sized import loss_by_size
from rarec.align.turns import LearningTurn, Stock, TurnData, turn_data
from rarec.errors import InputError
from rarec.retriever.data import ItemTable
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.reward import Feedback, grades
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Turn

COUNT = 14
ITEMS = tuple(Item(ItemId(f"i{number}"), f"Thing {number}") for number in range(COUNT))
EMBEDDER = HashEmbedder(8)
STOCK = Stock(ITEMS, ItemTable.of(list(ITEMS), EMBEDDER.embed([item.title for item in ITEMS])))
BY_ITEM: list[BaseLearner] = [
    CreditAssigned(centre=False, scale=False),
    Top1(centre=False, scale=False),
    MultDPO(pairs="credits"),
]
BY_SET: list[BaseLearner] = [DPO(), GRPO(kl_weight=0.0), PolicyGradient(), MultDPO()]
EVERY = pytest.mark.parametrize("learner", [*BY_ITEM, *BY_SET], ids=lambda learner: repr(learner))

VERDICTS = ("none", "clicked", "liked", "refused")
SETS = st.integers(2, 6).flatmap(
    lambda n: st.lists(
        st.tuples(
            st.permutations(range(1, COUNT)).map(lambda rows: rows[:n]),
            st.lists(st.sampled_from(VERDICTS), min_size=n, max_size=n),
        ),
        min_size=1,
        max_size=3,
    )
)
TURNS = st.lists(SETS, min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32 - 1)


def logged(rows: Sequence[int], verdicts: Sequence[str], *, eta: float = 0.0) -> LoggedSet:
    shown = tuple(ITEMS[row].id for row in rows)
    of = {name: frozenset(i for i, v in zip(shown, verdicts, strict=True) if v == name) for name in VERDICTS[1:]}
    feedback = Feedback(shown, **of)
    return LoggedSet(feedback, grades(feedback, eta=eta))


def turns_of(sets: Sequence[Sequence[LoggedSet]]) -> TurnData:
    """Item 0 is mentioned in all; the truth is what was liked."""
    found = [
        LearningTurn(
            f"t{at}",
            f"d{at}",
            Conversation((Turn("user", f"Hello {at}", (Mention(ITEMS[0].id),)),), f"d{at}"),
            tuple({item: None for one in own for item in one.feedback.liked}),
        )
        for at, own in enumerate(sets)
    ]
    return turn_data(found, STOCK, EMBEDDER.embed, need_truth=False)


def batch_of(
    sets: Sequence[Sequence[LoggedSet]], seed: int, *, clip: float | None = None, m: int = 4, spread: float = 2.0
) -> tuple[JudgedBatch, Tensor]:
    """Any scores over a proposal of the best m and all that was shown."""
    data = turns_of(sets)
    source = LoggedSets({f"t{at}": own for at, own in enumerate(sets)}, STOCK, importance_clip=clip)
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randn(len(sets), COUNT, generator=generator, dtype=torch.float64) * spread
    wanted = source.wanted(data.turns, COUNT)
    rows = proposed(whole, data.turns, m=m, n=1, temperature=1.0, wanted=wanted).rows
    assert all(wanted[line, own].sum() == wanted[line].sum() for line, own in enumerate(rows))
    scores = whole.gather(1, rows).requires_grad_()
    rolled = source.rolled(data.turns, rows, scores)
    nll = nll_loss(scores, truth_mask(data.turns, COUNT).gather(1, rows))
    reference = torch.randn(scores.shape, generator=generator, dtype=torch.float64)
    assert rolled.sizes is not None
    given = JudgedBatch(scores, reference, rolled.sets, rolled.rewards, rolled.valid, rolled.credits, 1.0, nll)
    return given, rolled.sizes


def gradient(learner: BaseLearner, given: JudgedBatch, sizes: Tensor, *, nll: float = 0.0) -> Tensor:
    assert given.nll is not None
    value = loss_by_size(learner, given, sizes).value + nll * given.nll.mean()
    assert value.isfinite()
    (found,) = torch.autograd.grad(value, given.scores, allow_unused=True)
    return torch.zeros_like(given.scores) if found is None else found


@EVERY
@settings(deadline=None, max_examples=15)
@given(turns=TURNS, seed=SEEDS, eta=st.floats(0, 4))
def test_any_events_give_finite_losses_and_gradients(
    learner: BaseLearner, turns: list[list[tuple[list[int], list[str]]]], seed: int, eta: float
) -> None:
    sets = [[logged(rows, verdicts, eta=eta) for rows, verdicts in own] for own in turns]
    given, sizes = batch_of(sets, seed)
    assert gradient(learner, given, sizes, nll=0.3).isfinite().all()


@EVERY
@settings(deadline=None, max_examples=15)
@given(turns=TURNS, verdict=st.sampled_from(VERDICTS), seed=SEEDS)
def test_equal_grades_teach_nothing(
    learner: BaseLearner, turns: list[list[tuple[list[int], list[str]]]], verdict: str, seed: int
) -> None:
    sets = [[logged(rows, [verdict] * len(rows)) for rows, _ in own] for own in turns]
    given, sizes = batch_of(sets, seed)
    assert not gradient(learner, given, sizes).any()
    assert not loss_by_size(learner, given, sizes).told.any()


@pytest.mark.parametrize("learner", BY_ITEM, ids=lambda learner: repr(learner))
@settings(deadline=None, max_examples=25)
@given(rows=st.permutations(range(1, COUNT)), n=st.integers(3, 6), seed=SEEDS)
def test_the_liked_item_goes_up_and_the_refused_one_down(
    learner: BaseLearner, rows: list[int], n: int, seed: int
) -> None:
    """What was merely shown stays between them, but for mult-dpo, which knows two sides only.

    ca-pg moves the chance of being offered at all: it has nothing more to give to an item that is in nearly every set,
    so its scores are flat here.
    """
    verdicts = ["liked", "refused", *["none"] * (n - 2)]
    spread = 0.2 if isinstance(learner, CreditAssigned) else 2.0
    given, sizes = batch_of([[logged(rows[:n], verdicts)]], seed, m=COUNT - 1, spread=spread)
    step = -gradient(learner, given, sizes)[0, given.sets[0, 0]]
    liked, refused, shown = step[0], step[1], step[2:]
    assert liked > 0 > refused
    assert bool((liked > shown).all())
    assert bool((refused < shown).all()) or isinstance(learner, MultDPO)


@settings(deadline=None, max_examples=15)
@given(turns=TURNS, seed=SEEDS)
def test_turns_of_several_sizes_weigh_as_much_as_alone(
    turns: list[list[tuple[list[int], list[str]]]], seed: int
) -> None:
    """For a loss that is a plain mean over sets, the batch's gradient is that of its sets one by one."""
    sets = [[logged(*one) for one in own] for own in turns]
    given, sizes = batch_of(sets, seed)
    learner = Top1(centre=False, scale=False)
    log_p = given.scores.log_softmax(-1)
    by_hand = sum(
        -(given.credits[line, group, :size] * log_p[line, given.sets[line, group, :size]]).sum()
        for line, size in enumerate(sizes.tolist())
        for group in range(given.sets.shape[1])
        if given.valid[line, group]
    )
    (expected,) = torch.autograd.grad(by_hand / given.valid.sum(), given.scores, retain_graph=True)
    torch.testing.assert_close(gradient(learner, given, sizes), expected)


@settings(deadline=None, max_examples=15)
@given(rows=st.permutations(range(1, COUNT)), seed=SEEDS, logged_as=st.floats(-30, 0), clip=st.floats(0.01, 10))
def test_importance_weights_are_ratios_cut_off(rows: list[int], seed: int, logged_as: float, clip: float) -> None:
    plain = logged(rows[:4], ["liked", "none", "none", "refused"])
    weighed = LoggedSet(plain.feedback, plain.grades, logged_as)
    given, _ = batch_of([[weighed]], seed, clip=clip)
    now = float(ordered_log_prob(given.scores.detach(), given.sets)[0, 0])
    expected = min(clip, float(np.exp(now - logged_as)))
    torch.testing.assert_close(given.credits[0, 0], expected * torch.tensor(plain.credits, dtype=torch.float64))
    with pytest.raises(InputError, match="has no log_prob"):
        batch_of([[plain]], seed, clip=clip)


@pytest.mark.parametrize("learner", BY_ITEM, ids=lambda learner: repr(learner))
def test_one_step_of_a_real_retriever_lifts_what_was_liked(learner: BaseLearner) -> None:
    sets = [[logged([3, 7, 1, 9], ["none", "liked", "none", "none"])]]
    data = turns_of(sets)
    source = LoggedSets({"t0": sets[0]}, STOCK)
    model = Retriever(RetrieverConfig(text_dimension=8, width=8, item_hidden=8, blocks=1), seed=3)
    scorer = Scorer(model, STOCK, data.messages)

    def margin() -> float:
        own = (scorer.queries(data.turns) @ scorer.project().T)[0]
        return float(own[7] - own[[3, 1, 9]].mean())

    before = margin()
    rows = torch.arange(1, COUNT)[None]
    scores = scorer.forward(data.turns, rows).of(rows).double()
    rolled = source.rolled(data.turns, rows, scores.detach())
    reference = scores.detach().clone()
    given = JudgedBatch(
        scores, reference, rolled.sets, rolled.rewards, rolled.valid, rolled.credits, 1.0
    )  # fmt: skip
    loss_by_size(learner, given, rolled.sizes).value.backward()
    torch.optim.SGD(model.parameters(), lr=1e-2).step()
    assert margin() > before


def test_what_is_no_shown_set_is_refused() -> None:
    one, other = logged([1, 2], ["liked", "none"]), logged([1, 2, 3], ["liked", "none", "none"])
    with pytest.raises(InputError, match="several sizes"):
        LoggedSets({"t0": [one, other]}, STOCK)
    with pytest.raises(InputError, match="no shown set, or"):
        LoggedSets({"t0": []}, STOCK)
    with pytest.raises(InputError, match="two items or more"):
        LoggedSet(Feedback((ItemId("i1"),)), (0.0,))
    with pytest.raises(InputError, match="finite"):
        LoggedSet(one.feedback, (0.0, float("nan")))
    with pytest.raises(InputError, match="turn 't0' has no shown set"):
        LoggedSets({}, STOCK).wanted(turns_of([[one]]).turns, COUNT)
