"""Laws of the figures: they agree with an independent library, and chance has a closed form."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.evaluate.bootstrap import letters
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.metrics import mrr_at, ndcg_at, per_turn, recall_at
from rarec.evaluate.predictions import Predictions
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.score import Options, score
from rarec.types import ItemId

ITEMS = [ItemId(f"i{at}") for at in range(12)]
NAMES = {"R@1": ir_measures.R @ 1, "R@5": ir_measures.R @ 5, "N@5": ir_measures.nDCG @ 5, "MRR@5": ir_measures.RR @ 5}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Gold, Predictions]:
    examples, answers = [], {}
    for at in range(draw(st.integers(1, 4))):
        targets = draw(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4, unique=True))
        seen = draw(st.lists(st.sampled_from(ITEMS), max_size=3, unique=True))
        repeated = frozenset(targets) & frozenset(seen)
        name = f"x{at}"
        examples.append(GoldExample(name, f"d{at % 2}", "0", tuple(targets), repeated, tuple(seen), at))
        answers[name] = tuple(draw(st.lists(st.sampled_from(ITEMS), max_size=12, unique=True)))
    # One example always has a row under every protocol.
    examples.append(GoldExample("last", "d9", "0", (ITEMS[0],), frozenset(), (), 0))
    answers["last"] = ()
    items = {item: GoldItem(item, None, 1, True) for item in ITEMS}
    return Gold("made up", "test", tuple(examples), items), Predictions("s", 6, answers)


def judged(gold: Gold, predictions: Predictions, protocol: EvaluationProtocol) -> dict[str, float]:
    """The same figures by ir_measures, from run and relevance lists built here."""
    run, qrels = [], []
    for example in gold.examples:
        shown = [i for i in predictions.lists[example.id] if protocol.seen == "kept" or i not in example.seen]
        targets = [t for t in example.targets if protocol.targets == "all" or t not in example.repeated]
        for relevant in [targets] if protocol.unit == "turn" else [[target] for target in targets]:
            query = f"{example.id}/{'+'.join(relevant)}"
            qrels += [ir_measures.Qrel(query, item, 1) for item in relevant]
            run += [ir_measures.ScoredDoc(query, item, float(-place)) for place, item in enumerate(shown[:6])]
            # A query without a run would be left out of the mean; ours is a miss.
            run.append(ir_measures.ScoredDoc(query, "nothing", -99.0))
    return {
        name: ir_measures.calc_aggregate([measure], qrels, run)[measure]
        for name, measure in NAMES.items()
        if len(qrels)
    }


@settings(max_examples=60, deadline=None)
@given(
    worlds(),
    st.sampled_from(["new-targets", "all-targets", "new-targets/per-turn", "all-targets/per-turn/seen-excluded"]),
)
def test_figures_agree_with_ir_measures(world: tuple[Gold, Predictions], name: str) -> None:
    gold, predictions = world
    protocol = EvaluationProtocol.parse(name)
    options = Options(measures=tuple(NAMES), headline="N@5", samples=2, slices=False)
    system = score(gold, [predictions], protocols=[protocol], options=options)[0].system("s")
    for measure, value in judged(gold, predictions, protocol).items():
        assert system.figures[measure].value == pytest.approx(value, abs=1e-9), measure


@pytest.mark.parametrize("seen", [0, 2])
def test_a_random_ranker_meets_its_closed_form(seen: int) -> None:
    n, rows, depth = 40, 4000, 10
    items = [ItemId(f"i{at}") for at in range(n)]
    generator = np.random.default_rng(7)
    examples = tuple(
        GoldExample(f"x{at}", f"d{at}", "0", (items[-1],), frozenset(), tuple(items[:seen]), 0) for at in range(rows)
    )
    lists = {example.id: tuple(items[i] for i in generator.permutation(n)) for example in examples}
    gold = Gold("made up", "test", examples, {item: GoldItem(item, None, 1, True) for item in items})
    options = Options(measures=("R@1", "R@10", "N@10", "MRR@10"), samples=20, slices=False)
    figures = score(gold, [Predictions("random", depth, lists)], protocols=[EvaluationProtocol()], options=options)[0]
    places = np.arange(1, 11)
    expected = {
        "R@1": 1.0,
        "R@10": 10.0,
        "N@10": float((1 / np.log2(places + 1)).sum()),
        "MRR@10": float((1 / places).sum()),
    }
    for measure, total in expected.items():
        value = total / (n - seen)
        spread = 4 * (value / rows) ** 0.5  # four standard errors, from above: a row is at most 1
        assert figures.system("random").figures[measure].value == pytest.approx(value, abs=spread)


ranks = st.lists(st.integers(0, 30), min_size=1, max_size=20)


@given(ranks, st.integers(1, 25))
def test_measures_are_bounded_and_a_better_rank_never_lowers_one(given_ranks: list[int], k: int) -> None:
    better = [max(1, rank - 1) if rank else 30 for rank in given_ranks]
    for measure in (recall_at, ndcg_at, mrr_at):
        before, after = measure(given_ranks, k), measure(better, k)
        assert ((before >= 0) & (before <= 1)).all()
        assert (after >= before).all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8, unique_by=lambda rank: rank or object()))
def test_a_turn_with_one_target_is_a_row_of_its_own(given_ranks: list[int]) -> None:
    array = np.array(given_ranks, np.int64)
    starts = np.arange(len(array))
    for name, measure in {"R": recall_at, "N": ndcg_at, "MRR": mrr_at}.items():
        np.testing.assert_allclose(per_turn(name, array, 10, starts), measure(array, 10))


@given(st.integers(1, 7), st.data())
def test_letters_say_exactly_what_separates(count: int, data: st.DataObject) -> None:
    names = [f"s{at}" for at in range(count)]
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    separated = set(data.draw(st.lists(st.sampled_from(pairs), unique=True))) if pairs else set()
    found = letters(names, separated)
    for a, b in pairs:
        share = bool(set(found[a]) & set(found[b]))
        assert share == ((a, b) not in separated)
    assert all(found.values())
