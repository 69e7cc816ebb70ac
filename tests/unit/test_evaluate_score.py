"""From gold and predictions to figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rarec.errors import InputError
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.predictions import Call, Predictions
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.results import Results
from rarec.evaluate.score import Options, score
from rarec.types import ItemId

NEW = EvaluationProtocol()
ALL = EvaluationProtocol.parse("all-targets")
PER_TURN = EvaluationProtocol.parse("new-targets/per-turn")


def ids(text: str) -> tuple[ItemId, ...]:
    return tuple(ItemId(letter) for letter in text)


def gold(*, examples: int = 4) -> Gold:
    """Items a..j; every example has targets b and c, mentions a and d; d is a repeated target."""
    items = {
        ItemId(letter): GoldItem(letter.upper(), 1970 + 10 * at, at, letter != "j", {"kind": (letter, "all")})
        for at, letter in enumerate("abcdefghij")
    }
    shown = tuple(
        GoldExample(f"x{i}", f"dialogue {i // 2}", "3", ids("bcd"), frozenset(ids("d")), ids("ad"), turns=i)
        for i in range(examples)
    )
    return Gold("made up", "test", shown, items)


def lists(system: str, text: str, *, depth: int = 5, seed: int | None = None, examples: int = 4) -> Predictions:
    return Predictions(system, depth, {f"x{i}": ids(text) for i in range(examples)}, seed=seed)


def ranks(text: str, *, of: str = "x0") -> Predictions:
    known = {(f"x{i}", item, "excluded"): 1 for i in range(4) for item in ids("bc")}
    return Predictions("r", 20, ranks=known | {(of, item, "excluded"): 1 for item in ids(text)})  # type: ignore[arg-type]


def options(**changes: object) -> Options:
    return Options(**{"measures": ("R@1", "R@2", "N@2", "MRR@2"), "headline": "N@2", "samples": 50, **changes})  # type: ignore[arg-type]


def test_mentioned_items_take_no_place_and_repeated_targets_no_row() -> None:
    block = score(gold(), [lists("s", "adbec")], protocols=[NEW], options=options())[0]
    assert block.rows == 8  # b and c of four examples
    figures = block.system("s").figures
    assert figures["R@1"].value == 0.5  # b is first once a and d are gone
    assert figures["R@2"].value == 0.5
    assert figures["MRR@2"].value == 0.5
    assert block.sentence


def test_all_targets_keeps_mentioned_items_and_counts_repeated_targets() -> None:
    block = score(gold(), [lists("s", "adbec")], protocols=[ALL], options=options())[0]
    assert block.rows == 12
    assert block.system("s").figures["R@2"].value == pytest.approx(1 / 3)  # only d, the repetition


def test_per_turn_shares_the_row_among_its_targets() -> None:
    block = score(gold(), [lists("s", "ebc")], protocols=[PER_TURN], options=options())[0]
    figures = block.system("s").figures
    assert block.rows == 4
    assert figures["R@2"].value == 0.5
    assert figures["MRR@2"].value == 0.5
    ideal = 1 + 1 / np.log2(3)
    assert figures["N@2"].value == pytest.approx(1 / np.log2(3) / ideal)


def test_a_list_that_is_too_short_is_a_miss_and_one_that_may_not_be_trusted_is_unknown() -> None:
    short = lists("short", "e")
    shallow = lists("shallow", "b", depth=1)
    block = score(gold(), [short, shallow], protocols=[NEW], options=options())[0]
    assert block.system("short").figures["R@2"].value == 0
    assert block.system("shallow").figures["R@1"].value == 0.5
    assert block.system("shallow").figures["R@2"].value is None


def test_seeds_are_averaged_before_the_interval_and_their_spread_is_told() -> None:
    runs = [lists("s", "bc", seed=0), lists("s", "ef", seed=1)]
    system = score(gold(), runs, protocols=[NEW], options=options())[0].system("s")
    assert system.seeds == 2
    assert system.figures["R@2"].value == 0.5
    assert system.seed_sd["R@2"] == pytest.approx(np.std([1, 0], ddof=1))


def test_runs_of_one_seed_are_compared_with_each_other() -> None:
    found = {seed: lists("x", "bcefghi" if seed else "efghi", depth=10, seed=seed).lists for seed in (0, 1)}
    systems = [Predictions(name, 10, found[seed], seed=seed) for name in ("one", "same") for seed in (0, 1)]
    measures = ("R@10", "N@10")
    pair = score(gold(), systems, protocols=[NEW], options=options(measures=measures, headline="N@10"))[0].pairs[0]
    assert (pair.a_only, pair.b_only) == (0, 0)  # half of the rows are found, and by both


def test_equal_systems_share_a_letter_and_different_ones_do_not() -> None:
    systems = [lists("best", "bc"), lists("same", "bc"), lists("worst", "ef")]
    block = score(gold(), systems, protocols=[NEW], options=options())[0]
    assert [s.group for s in block.systems] == ["a", "a", "b"]
    pair = block.pair("worst", "best")
    assert pair.delta < 0
    assert pair.separates
    assert pair.minimum_detectable == pytest.approx(0)  # every row has the same difference
    assert (pair.a_only, pair.b_only) == (None, None)  # the lists are cut before ten places


def test_a_lower_bound_is_separated_only_from_what_it_stands_above() -> None:
    bound = replace(lists("bound", "eb"), lower_bound=True)
    systems = [lists("best", "bc"), bound, lists("worst", "ef")]
    block = score(gold(), systems, protocols=[NEW], options=options())[0]
    assert all(pair.separates for pair in block.pairs)
    assert [s.group for s in block.systems] == ["a", "a", "b"]  # the bound may be as good as the best


def test_one_dialogue_tells_nothing_about_others() -> None:
    systems = [lists("best", "bc", depth=10, examples=2), lists("worst", "ef", depth=10, examples=2)]
    asked = options(measures=("R@10",), headline="R@10")
    block = score(gold(examples=2), systems, protocols=[NEW], options=asked)[0]
    best, pair = block.system("best"), block.pairs[0]
    assert (best.figures["R@10"].value, best.figures["R@10"].low) == (1, None)
    assert (pair.delta, pair.low, pair.high, pair.minimum_detectable) == (1, -1, 1, 1)
    assert [s.group for s in block.systems] == ["a", "a"]


def test_a_band_of_one_dialogue_has_no_interval() -> None:
    asked = options(measures=("R@10",), headline="R@10")
    block = score(gold(), [lists("s", "be", depth=10)], protocols=[NEW], options=asked)[0]
    early, late, *_ = block.system("s").slices["turn"]
    assert early.figures["R@10"].low is not None  # x0, x1 and x2, of two dialogues
    assert (late.n, late.figures["R@10"].value, late.figures["R@10"].low) == (2, 0.5, None)  # x3


def test_rounding_separates_nothing() -> None:
    once, thrice = lists("once", "efghb"), [lists("thrice", "efghb", seed=seed) for seed in range(3)]
    asked = options(measures=("MRR@5",), headline="MRR@5")
    block = score(gold(), [*thrice, once], protocols=[NEW], options=asked)[0]
    assert block.pairs[0].delta != 0  # three times 1/5 by 3 is not 1/5
    assert not block.pairs[0].separates


def test_the_minimum_detectable_difference_is_about_what_separates() -> None:
    rng = np.random.default_rng(1)
    many = gold(examples=600)
    a = {f"x{i}": ids("bc") if rng.random() < 0.5 else ids("ef") for i in range(600)}
    b = {f"x{i}": ids("bc") if rng.random() < 0.5 else ids("ef") for i in range(600)}
    block = score(
        many,
        [Predictions("a", 10, a), Predictions("b", 10, b)],
        protocols=[NEW],
        options=options(measures=("R@10",), headline="R@10", samples=1000),
    )[0]
    pair = block.pairs[0]
    # The difference of two coins, 600 examples in dialogues of two: its standard error is sqrt(1/2 / 600) = .029.
    assert pair.minimum_detectable == pytest.approx(2.8 * (0.5 / 600) ** 0.5, rel=0.15)
    assert pair.a_only == pytest.approx(0.25, abs=0.06)


def test_slices_cover_every_row_once() -> None:
    system = score(gold(), [lists("s", "bc", depth=10)], protocols=[NEW], options=options(measures=("R@10", "N@2")))[0]
    slices = system.system("s").slices
    assert set(slices) == {"popularity", "year", "cold", "turn", "mentions"}
    for bands in slices.values():
        assert sum(band.n for band in bands) == system.rows
    assert [(band.band, band.n) for band in slices["year"]] == [("1980s", 4), ("1990s", 4)]
    assert [band.n for band in slices["mentions"]] == [0, 0, 8, 0]


def test_without_training_nothing_is_called_cold() -> None:
    world = gold()
    unknown = {item: GoldItem(facts.title, facts.year, 0, True) for item, facts in world.items.items()}
    world = Gold(world.data_set, world.split, world.examples, unknown)
    slices = score(world, [lists("s", "bc")], protocols=[NEW], options=options())[0].system("s").slices
    assert set(slices) == {"year", "turn", "mentions"}


def test_beyond_accuracy_is_of_what_is_shown() -> None:
    beyond = score(gold(), [lists("s", "adbc")], protocols=[NEW], options=options())[0].system("s").beyond
    assert beyond["coverage@10"] == pytest.approx(2 / 9)  # b and c of the nine items of the data set
    assert beyond["popularity-bias@10"] == pytest.approx(0)  # exactly the targets are shown
    assert beyond["diversity@10"] == pytest.approx(1 - 1 / 3)  # they share one value of three


def test_calls_become_rates_a_turn() -> None:
    calls = {f"x{i}": Call(10.0 * i, 100, 20, 0.5, named=10, ungrounded=i, repaired=i > 0) for i in range(4)}
    given = lists("llm", "bc")
    given = Predictions("llm", 5, given.lists, calls=calls)
    row = score(gold(), [given], protocols=[NEW], options=options())[0].system("llm").generation
    assert row is not None
    assert row.ungrounded == pytest.approx(6 / 40)
    assert row.repaired == 0.75
    assert row.cost_usd == 0.5
    assert row.latency_ms_p50 == 15


def test_known_ranks_stand_in_for_lists() -> None:
    ranks = {(f"x{i}", item, "excluded"): 1 for i in range(4) for item in ids("bc")}
    block = score(gold(), [Predictions("r", 20, ranks=ranks)], protocols=[NEW], options=options())[0]
    assert block.system("r").figures["R@1"].value == 1
    with pytest.raises(InputError, match="no rank for 'b' of 'x0' with mentioned items kept"):
        score(gold(), [Predictions("r", 20, ranks=ranks)], protocols=[ALL], options=options())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lists("s", "bb"), "ranked 'b' twice for 'x0'"),
        (lists("s", "bz"), "ranked 'z' for 'x0', which is not in the catalogue"),
        (lists("s", "j"), "ranked 'j' for 'x0', which is not in the catalogue"),  # of the corpus, not the data set
        (lists("s", "b", examples=3), "no prediction for 'x3' .3 predictions, 4 examples"),
        (lists("s", "b", examples=5), "a prediction for 'x4', which is no example"),
        (Predictions("s", 5), "'s' has no predictions"),
        (ranks("bc", of="x9"), "a rank for 'b' of 'x9', which is no target of 'made up' 'test'"),
        (ranks("bce"), "a rank for 'e' of 'x0', which is no target"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(given: Predictions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(gold(), [given], protocols=[NEW], options=options())


def test_two_systems_of_one_name_and_seed_are_refused() -> None:
    with pytest.raises(InputError, match="two predictions of 's' with seed 1"):
        score(gold(), [lists("s", "b", seed=1), lists("s", "c", seed=1)], protocols=[NEW], options=options())


def test_the_corpus_is_another_catalogue() -> None:
    wide = Predictions("s", 5, {f"x{i}": ids("jb") for i in range(4)}, catalogue="corpus")
    corpus = EvaluationProtocol.parse("new-targets/corpus")
    block = score(gold(), [wide, lists("s", "b")], protocols=[corpus], options=options())[0]
    assert block.catalogue == 10
    assert block.system("s").figures["R@1"].value == 0
    with pytest.raises(InputError, match="no system ranked the catalogue"):
        score(gold(), [lists("s", "b")], protocols=[corpus], options=options())


def test_the_recall_curve_passes_through_the_figures() -> None:
    system = score(gold(), [lists("s", "bec")], protocols=[NEW], options=options())[0].system("s")
    assert list(system.recall_curve) == [0.5, 0.5, 1.0, 1.0, 1.0]


def test_results_survive_the_file_bit_for_bit(tmp_path: Path) -> None:
    blocks = score(gold(), [lists("s", "bec"), lists("t", "ef")], protocols=[NEW, ALL, PER_TURN], options=options())
    results = Results(blocks=blocks, meta={"date": "2026-11-23"})
    results.write(tmp_path / "metrics.json")
    assert Results.read(tmp_path / "metrics.json") == results
    assert Results.read(tmp_path / "metrics.json").to_json() == results.to_json()


@pytest.mark.parametrize("name", ["R10", "P@10", "N@0", "R@-1", ""])
def test_an_unknown_measure_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown measure"):
        Options(measures=(name,), headline=name)


def test_protocol_names_are_read_back() -> None:
    for targets in ("new", "all"):
        for seen in ("excluded", "kept"):
            for unit in ("target", "turn"):
                for catalogue in ("data-set", "corpus"):
                    protocol = EvaluationProtocol(targets, seen, unit, catalogue)  # type: ignore[arg-type]
                    assert EvaluationProtocol.parse(protocol.name) == protocol
    for wrong in ("new", "new-targets/", "new-targets/corpus/corpus", "all-targets/seen-kept/seen-excluded"):
        with pytest.raises(InputError, match="protocol"):
            EvaluationProtocol.parse(wrong)
