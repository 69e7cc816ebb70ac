"""Scores with gradient are those without, mentioned items are never offered, and batches are seeded epochs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rarec.align.batches import Rolled, best_first, proposed, rollout_tasks
from rarec.align.measuring import best_lists, measure_alone
from rarec.align.rollout import Rollout
from rarec.align.scorer import Scorer, reproducible, seen_mask, truth_mask
from rarec.align.stepping import batch_of, epoch_steps
from rarec.align.turns import LearningTurn, Stock, TurnData, turn_data
from rarec.errors import InputError
from rarec.retriever.data import ItemTable
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.reward import reward_named
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Turn

EMBEDDER = HashEmbedder(16)
ITEMS = tuple(Item(ItemId(f"i{n}"), f"Title {n}", f"Text {n}", 1990 + n, popularity=float(n)) for n in range(9))
OTHERS = (Item(ItemId("x"), "Beside", "Not offered"), Item(ItemId("y"), "Also", "Not offered"))


def stock() -> Stock:
    table = ItemTable.of([*ITEMS, *OTHERS], EMBEDDER.embed([item.text for item in (*ITEMS, *OTHERS)]))
    return Stock(ITEMS, table)


def said(number: int, *mentioned: str, text: str = "Something calm?") -> LearningTurn:
    mentions = tuple(Mention(ItemId(item)) for item in mentioned)
    turns = (Turn("user", text, mentions), Turn("assistant", "Which one did you like?", ()), Turn("user", "", ()))
    return LearningTurn(f"t{number}", f"d{number // 2}", Conversation(turns, f"d{number}"), (ItemId("i1"),))


TURNS = (said(0), said(1, "i3", "gone", "x"), said(2, "i3", "i4", "i3", text="A long one about the sea, please."))


def scorer(data: TurnData, *, dropout: float = 0.5) -> Scorer:
    config = RetrieverConfig(text_dimension=16, width=8, item_hidden=8, blocks=2, dropout=dropout)
    return Scorer(Retriever(config, seed=3), stock(), data.messages)


@pytest.fixture(scope="module")
def data() -> TurnData:
    return turn_data(TURNS, stock(), lambda texts: EMBEDDER.embed(texts, kind="query"))


def test_a_turn_knows_what_was_mentioned_and_cannot_come_back(data: TurnData) -> None:
    assert [list(turn.mentioned) for turn in data.turns] == [[], ["i3"], ["i3", "i4"]]
    assert [turn.seen_rows for turn in data.turns] == [(), (3,), (3, 4)]
    assert [turn.tokens.codes.shape for turn in data.turns] == [(4, 3), (4, 5), (4, 6)]  # START, words, known items
    assert seen_mask(data.turns, 9).sum().item() == 3
    assert truth_mask(data.turns, 9)[:, 1].all()


def test_the_query_of_a_turn_is_that_of_serving(data: TurnData) -> None:
    one = scorer(data)
    vectors = one.project().numpy()
    encoder = ConversationEncoder(
        one.model, EMBEDDER, lambda ids: {i: _vector(one, i) for i in ids if i in one.stock.table.rows}
    )
    served = encoder.queries([turn.turn.conversation for turn in data.turns])
    assert np.allclose(one.queries(data.turns).numpy(), served, atol=1e-5)
    assert vectors.shape == (9, 9)


def _vector(one: Scorer, item: ItemId) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with torch.no_grad():
        found = one.model.items(one.stock.table.features[one.stock.table.rows[item]][None])[0]
    return np.asarray(found.numpy())


def test_scores_with_gradient_are_those_without(data: TurnData) -> None:
    one = scorer(data)
    rows = torch.tensor([[0, 5, 2], [8, 1, 0], [7, 6, 5]])
    scored = one.forward(data.turns, rows)
    plain = (one.queries(data.turns) @ one.project().T).gather(1, rows)
    assert torch.allclose(scored.of(rows), plain, atol=1e-5)
    assert torch.equal(scored.all(torch.tensor([5, 0]))[0], scored.of(rows)[0, [1, 0]])
    scored.of(rows).sum().backward()  # type: ignore[no-untyped-call]
    assert one.model.tower.hidden.weight.grad is not None


def test_item_vectors_move_only_through_the_tower_and_not_at_all_if_it_is_frozen(data: TurnData) -> None:
    config = RetrieverConfig(text_dimension=16, width=8, item_hidden=8, blocks=1)
    one = Scorer(Retriever(config), stock(), data.messages, learn_items=False)
    rows = torch.arange(9)
    one.forward(data.turns, rows).all(rows).sum().backward()  # type: ignore[no-untyped-call]
    assert one.model.tower.hidden.weight.grad is None
    assert one.model.query.weight.grad is not None
    assert set(dict(one.model.named_parameters())) & {"items", "vectors"} == set()


def test_dropout_is_on_only_as_in_fine_tuning_and_comes_from_its_generator(data: TurnData) -> None:
    one, rows = scorer(data), torch.arange(9)
    plain = one.forward(data.turns, rows).all(rows)
    assert torch.equal(plain, one.forward(data.turns, rows).all(rows))
    state = torch.random.get_rng_state()
    first, again, other = (
        one.forward(data.turns, rows, hiding=torch.Generator().manual_seed(seed)).all(rows) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not one.model.training


def test_proposals_leave_out_what_was_mentioned_and_are_best_first_by_the_scores_of_now() -> None:
    turns = turn_data(TURNS, stock(), lambda texts: EMBEDDER.embed(texts)).turns
    scores = torch.arange(27.0).view(3, 9)
    found = proposed(scores, turns, m=8, n=2, temperature=1.0)
    assert found.rows[0].tolist() == [8, 7, 6, 5, 4, 3, 2]  # the third turn has no more than seven
    assert 3 not in found.rows[1].tolist()
    assert not {3, 4} & set(found.rows[2].tolist())
    assert float(found.mass[2]) == pytest.approx(1.0)
    turned = best_first(found.rows, torch.arange(7.0).expand(3, 7))
    assert turned.tolist() == found.rows.flip(-1).tolist()
    with pytest.raises(InputError, match="'t2' leaves 7 items"):
        proposed(scores, turns, m=9, n=8, temperature=1.0)


def test_rollouts_become_tensors_in_the_order_of_the_draws(data: TurnData) -> None:
    rows = torch.tensor([[1, 0, 2, 5]])
    (task,) = rollout_tasks(data.turns[:1], rows, torch.tensor([[4.0, 3.0, 2.0, 1.0]]), stock=stock())
    assert [item.id for item in task.proposal] == ["i1", "i0", "i2", "i5"]
    one = Rollout(
        0, task.turn, 0, (ItemId("i1"),), (ItemId("i5"), ItemId("i1")), (ItemId("i1"), ItemId("i5")), -1.0, 1.0, 4, "p",
        ranking=(ItemId("i5"), ItemId("i1")), reward=0.63,
    )  # fmt: skip
    failed = replace(one, group=1, ranking=(), reward=None, degraded=True)
    rolled = Rolled.of([one, failed], [task], reward_named("ndcg@10"))
    assert rolled.sets.tolist() == [[[3, 0], [3, 0]]]
    assert rolled.valid.tolist() == [[True, False]]
    assert rolled.rewards.tolist() == [[0.63, 0.0]]
    # Without i5 the true item is first; without i1 there is none.
    assert rolled.credits[0, 0].tolist() == pytest.approx([0.6309 - 1.0, 0.6309], abs=1e-4)
    assert rolled.credits[0, 1].tolist() == [0.0, 0.0]


def test_lists_are_the_best_that_were_not_mentioned(data: TurnData) -> None:
    one = scorer(data)
    lists = best_lists(one, data.turns, 7)
    scores = one.queries(data.turns) @ one.project().T
    for row, (own, turn) in enumerate(zip(lists, data.turns, strict=True)):
        expected = [c for c in scores[row].argsort(descending=True).tolist() if c not in turn.seen_rows][:7]
        assert [item for item, _ in own] == [f"i{c}" for c in expected]
    assert all(0 <= figure <= 1 for figure in measure_alone(one, data.turns))
    with pytest.raises(InputError, match="n = 8"):
        best_lists(one, data.turns, 8)


def test_an_epoch_visits_every_turn_once_in_an_order_of_its_own(data: TurnData) -> None:
    turns = data.turns * 4  # twelve places
    numbered = {id(turn): number for number, turn in enumerate(data.turns)}
    assert epoch_steps(12, 5) == 3
    epochs = [[numbered[id(t)] for at in range(3) for t in batch_of(turns, 3 * e + at, 5, seed=1)] for e in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [[0] * 4 + [1] * 4 + [2] * 4] * 2
    assert epochs[0] != epochs[1]
    assert batch_of(turns, 4, 5, seed=1) == batch_of(turns, 4, 5, seed=1)


def test_wrong_turns_are_refused() -> None:
    def embed(texts: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return EMBEDDER.embed([str(t) for t in texts])  # type: ignore[attr-defined]

    for turns, told in (
        ([TURNS[0], TURNS[0]], "comes twice"),
        ([replace(TURNS[0], truth=())], "no truth"),
        ([replace(TURNS[0], truth=(ItemId("x"),))], "not in the catalogue"),
        ([replace(TURNS[1], truth=(ItemId("i3"),))], "mentioned before"),
    ):
        with pytest.raises(InputError, match=told):
            turn_data(turns, stock(), embed)
    with pytest.raises(InputError, match="first rows"):
        Stock(ITEMS[1:], stock().table)


def test_reproducible_puts_torch_back() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    with reproducible():
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before
