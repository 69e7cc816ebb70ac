"""Results turn by turn: what is refused, what is averaged, cut and chosen, and what may be said of it."""

import json
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.align.logged import agreement_of, refused_of
from rarec.alignment.comparing import Comparison, compared, deviation
from rarec.alignment.example_choice import chosen
from rarec.alignment.figures import AGREEMENT, ALONE, FIGURES, HELD, JUDGED, REFUSED, figures_named
from rarec.alignment.reading import AlignedRun
from rarec.alignment.report.curves import moving_average
from rarec.alignment.report.views import settings as settings_of
from rarec.alignment.report_turns import (
    REPORT_TURNS,
    ReportTurn,
    ReportTurns,
    read_report_turns,
    write_report_turns,
)
from rarec.alignment.slicing import gains_by_slice, turn_slices
from rarec.alignment.turn_results import TURNS, Served, TurnResult, figures_of, read_turn_results, write_turn_results
from rarec.alignment.verdicts import cautions, chosen_weights, verdict
from rarec.errors import InputError, StoreError
from rarec.evaluate.bootstrap import interval
from rarec.evaluate.gold import GoldExample, GoldItem
from rarec.reward import Feedback, ndcg, recall
from rarec.types import Conversation, ItemId, Turn

ITEMS = tuple(ItemId(f"i{number}") for number in range(14))


def served(ranking: tuple[ItemId, ...], truth: tuple[ItemId, ...], *, silent: bool = False) -> Served:
    offered = tuple(sorted(ranking))
    order = offered if silent else ranking
    figures = {JUDGED: ndcg(order, truth), ALONE: ndcg(offered, truth), HELD: recall(offered, truth, k=99)}
    return Served(offered, () if silent else ranking, figures)


def result(turn: str, truth: tuple[int, ...], before: list[int], after: list[int], dialogue: str = "") -> TurnResult:
    true = tuple(ITEMS[number] for number in truth)
    lists = (tuple(ITEMS[number] for number in order) for order in (before, after))
    return TurnResult(turn, dialogue or turn, true, *(served(one, true) for one in lists))


def shown_to_people(order: list[int], truth: tuple[ItemId, ...], sets: tuple[Feedback, ...]) -> Served:
    """A policy's order of all fourteen items."""
    whole = tuple(ITEMS[number] for number in order)
    places = {item: whole.index(item) + 1 for one in sets for item in one.shown}
    figures = {
        AGREEMENT: agreement_of(places, sets),
        ALONE: ndcg(whole, truth) if truth else None,
        REFUSED: refused_of(whole[:10], sets),
    }
    return Served(whole[:10], (), {name: value for name, value in figures.items() if value is not None}, places)


def people_result(at: int, before: list[int], after: list[int], feedback: Feedback) -> TurnResult:
    truth = tuple(item for item in feedback.shown if item in feedback.liked)
    served = (shown_to_people(order, truth, (feedback,)) for order in (before, after))
    return TurnResult(f"t{at}", f"d{at // 2}", truth, *served, (feedback,))


def refusing(*shown: int) -> Feedback:
    """The last item is refused."""
    return Feedback(tuple(ITEMS[at] for at in shown), refused=frozenset({ITEMS[shown[-1]]}))


def liking(*shown: int) -> Feedback:
    """The first item is liked, the second clicked."""
    items = tuple(ITEMS[at] for at in shown)
    return Feedback(items, clicked=frozenset({items[1]}), liked=frozenset({items[0]}))


whole_orders = st.permutations(range(14))
feedback = st.tuples(whole_orders, st.integers(2, 6), st.booleans()).map(
    lambda drawn: (liking if drawn[2] else refusing)(*drawn[0][: drawn[1]])
)
people_results = st.lists(st.tuples(whole_orders, whole_orders, feedback), min_size=1, max_size=8).map(
    lambda drawn: [people_result(at, *parts) for at, parts in enumerate(drawn)]
)
orders = st.permutations(range(12)).map(lambda order: order[:11])
QUICK = settings(max_examples=15, deadline=None)  # files are written to the disk
results = st.lists(st.tuples(orders, orders, st.integers(0, 13)), min_size=1, max_size=12).map(
    lambda drawn: [result(f"t{at}", (truth,), b, a, f"d{at // 2}") for at, (b, a, truth) in enumerate(drawn)]
)


@QUICK
@given(results | people_results)
def test_what_is_written_is_read_and_equal_results_give_equal_bytes(
    tmp_path_factory: pytest.TempPathFactory, given_results: list[TurnResult]
) -> None:
    folder = tmp_path_factory.mktemp("seed")
    write_turn_results(folder, given_results)
    first = (folder / TURNS).read_bytes()
    assert read_turn_results(folder) == tuple(given_results)
    write_turn_results(folder, read_turn_results(folder))
    assert (folder / TURNS).read_bytes() == first


def test_an_order_that_the_judge_did_not_give_is_the_retrievers() -> None:
    truth = (ITEMS[3],)
    silent = served(ITEMS[:4][::-1], truth, silent=True)
    assert silent.served == silent.offered
    assert silent.figures[JUDGED] == silent.figures[ALONE] == ndcg(silent.offered, truth)


def changed(found: Served, name: str, value: float) -> Served:
    return replace(found, figures={**found.figures, name: value})


def test_figures_that_are_not_of_their_list_are_refused() -> None:
    good = result("t", (2,), list(range(11)), list(range(10, -1, -1)))
    for name in (JUDGED, ALONE, HELD):
        with pytest.raises(InputError, match=f"{name} of turn 't' is 0.77"):
            replace(good, after=changed(good.after, name, 0.77))
    told = people_result(0, list(range(14)), list(range(13, -1, -1)), liking(3, 5, 7, 9))
    refused = people_result(0, list(range(14)), list(range(13, -1, -1)), refusing(3, 5, 7, 9))
    for one, name in ((told, AGREEMENT), (told, ALONE), (refused, REFUSED)):
        with pytest.raises(InputError, match=f"{name} of turn 't0' is 0.77"):
            replace(one, after=changed(one.after, name, 0.77))
    for extra in (JUDGED, ALONE):  # nothing is true where people only refused
        with pytest.raises(InputError):
            replace(refused, **{when: changed(getattr(refused, when), extra, 0.0) for when in ("before", "after")})
    with pytest.raises(InputError, match="other ones before than after"):
        replace(told, after=replace(told.after, figures={AGREEMENT: told.after.figures[AGREEMENT]}))
    with pytest.raises(InputError, match="'precision'"):
        replace(good, **{when: changed(getattr(good, when), "precision", 1.0) for when in ("before", "after")})
    with pytest.raises(InputError, match="not of the items that were shown"):
        replace(told, after=replace(told.after, places={}))
    with pytest.raises(InputError, match="not of the items"):
        replace(good.after, ranking=(*good.after.ranking[1:], ItemId("other")))
    short = changed(served(ITEMS[:3], (ITEMS[1],)), ALONE, 0.3)  # its first ten are not in the file
    TurnResult("t", "d", (ITEMS[1],), short, short)


def test_a_damaged_file_is_refused_and_its_line_named(tmp_path: Path) -> None:
    write_turn_results(tmp_path, [result(f"t{at}", (at,), list(range(11)), list(range(10, -1, -1))) for at in range(3)])
    path = tmp_path / TURNS
    lines = path.read_text().splitlines()
    wrong = {
        "has 2 of its 3 records": lines[:3],
        "line 3 .* is damaged": [*lines[:2], lines[2][:-9], lines[3]],
        "line 4 .* there is no 'truth'": [*lines[:3], lines[3].replace('"truth"', '"trust"')],
        "line 2 .* after the judge of turn 't0'": [
            lines[0],
            lines[1].replace('"after the judge": 1.0', '"after the judge": 0.5'),
            *lines[2:],
        ],
        "does not begin": lines[1:],
        "version 2, later than 1": [lines[0].replace('"version": 1', '"version": 2'), *lines[1:]],
    }
    for message, content in wrong.items():
        path.write_text("\n".join(content) + "\n")
        with pytest.raises(StoreError, match=message):
            read_turn_results(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="cannot read"):
        read_turn_results(tmp_path)
    path.unlink()
    with pytest.raises(StoreError, match=r"there is no .*rarec align.* again"):
        read_turn_results(tmp_path)


def test_a_comparison_is_the_averages_and_the_paired_interval() -> None:
    many = [result(f"t{at}", (at % 11,), list(range(11)), list(range(10, -1, -1)), f"d{at // 3}") for at in range(36)]
    found = compared([many], JUDGED)
    gains = np.array([one.gain(JUDGED) for one in many])
    assert found.gain == pytest.approx(gains.mean())
    assert (found.turns, found.dialogues) == (36, 12)
    clusters = [one.dialogue for one in many]
    assert (found.low, found.high) == interval(gains, clusters, generator=np.random.default_rng(0))
    assert compared([many, many, many], JUDGED) == found
    turned = [
        result(one.turn, (at % 11,), list(range(10, -1, -1)), list(range(11)), one.dialogue)
        for at, one in enumerate(many)
    ]
    both = compared([many, turned], JUDGED)
    assert (both.gain, both.low, both.high) == (0, 0, 0)


def test_nothing_is_concluded_from_few_dialogues() -> None:
    few = [result(f"t{at}", (10,), list(range(11)), list(range(10, -1, -1)), f"d{at}") for at in range(10)]
    assert compared([few], JUDGED).shows(FIGURES[JUDGED]) == "gain"
    assert compared([few[:9]], JUDGED).low > 0
    assert compared([few[:9]], JUDGED).shows(FIGURES[JUDGED]) == ""
    one = compared([few[:1]], JUDGED)
    assert (one.low, one.high, one.shows(FIGURES[JUDGED])) == (-1, 1, "")
    assert "show nothing" in verdict(FIGURES[JUDGED], one)


def test_seeds_of_different_turns_are_refused() -> None:
    a, b = (result(name, (1,), list(range(11)), list(range(11))) for name in "ab")
    for seeds in ([], [[]], [[a], [b]], [[a, b], [b, a]], [[a], [a, b]]):
        with pytest.raises(InputError, match="the same turns"):
            compared(seeds, JUDGED)
    with pytest.raises(InputError, match="'precision'"):
        compared([[a]], "precision")
    with pytest.raises(InputError, match="no turn has the figure 'agreement'"):
        compared([[a]], AGREEMENT)


def test_between_seeds() -> None:
    assert deviation([0.5]) is None
    assert deviation([0.0, 0.2]) == pytest.approx(0.2 / 2**0.5)


@pytest.mark.parametrize(
    ("low", "high", "dialogues", "said"),
    [
        (0.001, 0.1, 10, "lies above zero: a gain"),
        (-0.1, -0.001, 10, "lies below zero: a loss"),
        (0.0, 0.1, 500, "holds zero: neither"),
        (-0.1, 0.0, 500, "holds zero: neither"),
        (0.001, 0.1, 9, "Fewer than 10 dialogues show nothing"),
    ],
)
def test_a_verdict_says_what_the_interval_shows(low: float, high: float, dialogues: int, said: str) -> None:
    text = verdict(FIGURES[JUDGED], Comparison(0.1, 0.15, 0.05, 0.5, low, high, 1234, dialogues))
    assert said in text
    assert f"1,234 turns of {dialogues} dialogues" in text
    assert sum(words in text for words in ("a gain on", "a loss on", "neither", "show nothing")) == 1


def test_fewer_refused_items_are_a_gain() -> None:
    fewer = Comparison(0.5, 0.3, -0.2, -0.4, -0.3, -0.1, 40, 20)
    text = verdict(FIGURES[REFUSED], fewer)
    assert text.startswith("Refused in first 10 (lower is better): .500 before, .300 after")
    assert "lies below zero: a gain" in text
    assert fewer.shows(FIGURES[AGREEMENT]) == "loss"
    assert replace(fewer, low=0.1, high=0.3).shows(FIGURES[REFUSED]) == "loss"


def test_a_run_has_the_figures_of_its_turns_and_one_that_leads() -> None:
    judged = result("t", (1,), list(range(11)), list(range(11)))
    up, down = list(range(14)), list(range(13, -1, -1))
    told = [people_result(0, up, down, refusing(0, 13)), people_result(1, up, down, liking(0, 1, 13))]
    assert [figure.name for figure in figures_of([judged])] == [JUDGED, ALONE, HELD]
    assert [figure.name for figure in figures_of(told)] == [AGREEMENT, ALONE, REFUSED]
    assert [figure.name for figure in figures_of(told[:1])] == [AGREEMENT, REFUSED]
    assert [figure.name for figure in figures_named({"best": 3, REFUSED: {}, ALONE: {}})] == [ALONE, REFUSED]


def test_figures_that_some_turns_lack_are_averaged_over_the_others() -> None:
    up, down = list(range(14)), list(range(13, -1, -1))
    told = [people_result(at, up, down, (liking if at % 2 else refusing)(0, 1, 13)) for at in range(8)]
    whole, alone, refused = (compared([told], name) for name in (AGREEMENT, ALONE, REFUSED))
    assert (whole.turns, whole.dialogues) == (8, 4)
    assert (alone.turns, alone.dialogues, alone.before, alone.after) == (4, 4, 1.0, 0.0)
    assert (refused.turns, refused.before, refused.after) == (4, 0.0, 1.0)
    found = report(*(((0,) if at % 2 else (), at + 1, 0) for at in range(8)), popularity={0: 7}, years={0: 1999})
    sliced = gains_by_slice(found, [told], FIGURES[ALONE])
    assert [(band.band, band.turns) for band in sliced["popularity"]] == [("5-19", 4)]
    assert [(band.band, band.turns) for band in sliced["turn"]] == [("0-2", 1), ("3-5", 1), ("6-9", 2)]
    leading = gains_by_slice(found, [told], FIGURES[AGREEMENT])
    assert [(band.band, band.turns) for band in leading["year"]] == [("1990s", 4)]
    assert sum(band.turns for band in leading["mentions"]) == 8
    only = [people_result(at, up, down, refusing(0, 13)) for at in range(3)]
    untrue = report(*(((), 1, 0) for _ in range(3)), popularity={}, years={})
    assert list(gains_by_slice(untrue, [only], FIGURES[AGREEMENT])) == ["turn", "mentions"]
    extremes = chosen(told, ALONE)
    assert len(extremes.losses) == 3
    assert all(ALONE in one.before.figures for one in extremes.losses)
    assert len(extremes.drawn) == 4


def test_what_must_be_known_is_said() -> None:
    good = {"best": 3, "held out": True}
    assert cautions([good, good]) == []
    (one,) = cautions([good])
    assert one.startswith("One seed")
    assert any("chose the weights too" in said for said in cautions([good, {**good, "held out": False}]))
    assert any("Of 1 of 2 seeds no validation" in said for said in cautions([good, {**good, "best": 0}]))
    assert any("Another policy chose" in said for said in cautions([{**good, AGREEMENT: {}}] * 2))


def report(
    *turns: tuple[tuple[int, ...], int, int], popularity: dict[int, int], years: dict[int, int | None]
) -> ReportTurns:
    """Turns of (truth, messages, mentions)."""
    made = [
        ReportTurn(
            GoldExample(
                f"t{at}", f"d{at}", "", tuple(ITEMS[i] for i in truth), frozenset(), ITEMS[:mentions], messages
            ),
            Conversation((Turn("user", "words"),) * messages),
        )
        for at, (truth, messages, mentions) in enumerate(turns)
    ]
    items = {item: GoldItem(f"Item {at}", years.get(at), popularity.get(at, 0), True) for at, item in enumerate(ITEMS)}
    return ReportTurns(tuple(made), items)


def test_slices_are_those_of_the_evaluation_and_a_turn_stands_in_the_band_of_each_true_item() -> None:
    found = report(
        ((11,), 1, 0), ((12, 13), 4, 1), ((13,), 12, 5),
        popularity={11: 0, 12: 3, 13: 150}, years={11: None, 12: 1975, 13: 2003},
    )  # fmt: skip
    masks = {
        name: {band: inside.tolist() for band, inside in bands.items()} for name, bands in turn_slices(found).items()
    }
    assert list(masks) == ["popularity", "year", "turn", "mentions"]
    yes, no = True, False
    assert masks["popularity"]["0"] == [yes, no, no]
    assert masks["popularity"]["1-4"] == [no, yes, no]
    assert masks["popularity"]["100+"] == [no, yes, yes]
    assert masks["year"] == {"before 1980": [no, yes, no], "2000s": [no, yes, yes], "unknown": [yes, no, no]}
    assert masks["turn"] == {"0-2": [yes, no, no], "3-5": [no, yes, no], "6-9": [no] * 3, "10+": [no, no, yes]}
    assert masks["mentions"]["4+"] == [no, no, yes]
    own = [
        result("t0", (11,), [11, *range(10)], [*range(10), 11], "d0"),
        result("t1", (12, 13), list(range(11)), [12, 13, *range(9)], "d1"),
        result("t2", (13,), list(range(11)), list(range(11)), "d2"),
    ]
    sliced = gains_by_slice(found, [own], FIGURES[JUDGED])
    popular = {band.band: band for band in sliced["popularity"]}
    assert list(popular) == ["0", "1-4", "100+"]
    assert popular["100+"].gain == pytest.approx((own[1].gain(JUDGED) + own[2].gain(JUDGED)) / 2)
    assert (popular["100+"].turns, popular["100+"].dialogues) == (2, 2)
    assert (popular["0"].low, popular["0"].high) == (None, None)  # one dialogue
    assert popular["0"].few
    assert [band.band for band in sliced["turn"]] == ["0-2", "3-5", "10+"]


def test_bands_of_the_conversation_part_the_turns() -> None:
    turns = [((at % 14,), at % 13 + 1, at % 6) for at in range(40)]
    found = report(*turns, popularity={at: at * at for at in range(14)}, years={at: 1960 + 5 * at for at in range(14)})
    own = [
        result(f"t{at}", truth, list(range(11)), list(range(10, -1, -1)), f"d{at}")
        for at, (truth, _, _) in enumerate(turns)
    ]
    whole = compared([own], JUDGED)
    for bands in gains_by_slice(found, [own], FIGURES[JUDGED]).values():
        assert sum(band.turns for band in bands) == 40
        assert sum(band.gain * band.turns for band in bands) == pytest.approx(40 * whole.gain)
        assert all(band.low is None or band.low <= band.gain + 1e-12 for band in bands)


def test_report_turns_are_written_and_read(tmp_path: Path) -> None:
    found = report(((1, 2), 3, 2), popularity={1: 7}, years={2: 1999})
    odd = replace(
        found.turns[0],
        conversation=Conversation((Turn("user", "a\ud800\u2028\n"), Turn("assistant", ""), Turn("user", "é"))),
    )
    write_report_turns(tmp_path, ReportTurns((odd,), found.items))
    again = read_report_turns(tmp_path)
    assert again.turns == (odd,)
    assert again.items == found.items
    path = tmp_path / REPORT_TURNS
    lines = [line for line in path.read_text().splitlines() if '"item": "i2"' not in line]
    path.write_text("\n".join([json.dumps({"version": 1, "records": len(lines) - 1}), *lines[1:]]))
    with pytest.raises(StoreError, match="does not know the item 'i2'"):
        read_report_turns(tmp_path)
    path.write_text(path.read_text().replace('["user",', '["system",'))
    with pytest.raises(StoreError, match=r"line 2 .* a message is of 'system'"):
        read_report_turns(tmp_path)


@settings(deadline=None)
@given(results)
def test_examples_are_the_extremes_and_a_draw_that_no_figure_moves(given_results: list[TurnResult]) -> None:
    found = chosen(given_results, JUDGED)
    every = [one.gain(JUDGED) for one in given_results]
    assert [one.gain(JUDGED) for one in found.gains] == sorted((gain for gain in every if gain > 0), reverse=True)[:3]
    assert [one.gain(JUDGED) for one in found.losses] == sorted(gain for gain in every if gain < 0)[:3]
    assert len(found.drawn) == min(4, len(given_results))
    turned = [replace(one, before=one.after, after=one.before) for one in reversed(given_results)]
    again = chosen(turned, JUDGED)
    assert [one.turn for one in again.drawn] == [one.turn for one in found.drawn]
    assert [one.turn for one in again.losses] == [one.turn for one in found.gains]


def test_a_moving_average_looks_back_and_passes_over_what_is_not_known() -> None:
    assert moving_average([4.0, nan, 2.0, 6.0], 2) == [4.0, 4.0, 2.0, 4.0]
    assert isnan(moving_average([nan, 1.0], 1)[0])
    assert moving_average([], 3) == []


def test_the_weights_that_are_kept_in_words() -> None:
    assert chosen_weights({"best": 38, "iterations": 1040}) == (
        "weights of iteration 38 (best on tuning turns; 1,040 run)"
    )
    assert chosen_weights({"best": 0, "iterations": 4}).startswith("the weights that were started from (best")


def test_the_page_tells_no_address_of_an_account() -> None:
    recipe = {
        "judge": {
            "kind": "endpoint",
            "model": "m",
            "base_url": "https://me:word@judge/v1",
            "api_key_env": "SECRET_KEY",
        },
        "embedder": {"kind": "openai", "base_url": "https://me:word@vectors/v1", "api_key_env": "SECRET_KEY"},
    }
    run = AlignedRun(Path("run"), {}, recipe, "m", "2026-11-27", ReportTurns((), {}), ())
    assert dict(settings_of(run)) == {"judge.kind": "endpoint", "judge.model": "m", "embedder.kind": "openai"}
