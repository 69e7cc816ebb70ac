"""The rule: what it promotes and refuses, at which rates, and what it will not decide on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rarec.errors import InputError
from rarec.promotion.gate import LEAST_DIALOGUES, LEVEL, decide, difference_interval, student_interval
from scripts import load_script

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("benchmarks/promotion_gate.py")


def figures(turns: int = 400, *, seed: int = 0) -> tuple[np.ndarray[Any, Any], list[int]]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(turns) < 0.3, rng.random(turns) / 2, 0.0), [turn // 2 for turn in range(turns)]


def test_a_gain_on_every_turn_is_promoted_and_a_loss_is_refused() -> None:
    live, dialogues = figures()
    better, worse = decide(live + 0.1, live, dialogues), decide(live, live + 0.1, dialogues)
    assert (better.promoted, better.reason) == (True, "it is better")
    assert (worse.promoted, worse.reason) == (False, "it is worse")
    assert better.low == pytest.approx(0.1)
    assert (better.turns, better.dialogues, better.margin) == (400, 200, 0.0)
    assert better.gain == pytest.approx(0.1)
    assert better.relative == pytest.approx(0.1 / live.mean())


def test_equal_figures_are_refused_without_a_margin_and_pass_with_one() -> None:
    live, dialogues = figures()
    found = decide(live, live, dialogues)
    assert (found.promoted, found.low, found.high) == (False, 0.0, 0.0)
    assert "nothing to gain" in found.reason
    allowed = decide(live, live, dialogues, margin=0.02)
    assert (allowed.promoted, allowed.reason) == (True, "it is not worse by more than the margin")
    assert allowed.margin == pytest.approx(0.02 * live.mean())


def test_all_zeros_are_refused_whatever_the_margin() -> None:
    zeros, dialogues = np.zeros(400), figures()[1]
    for margin in (0.0, 0.5):
        assert not decide(zeros, zeros, dialogues, margin=margin).promoted


def test_the_margin_is_what_may_be_lost() -> None:
    live, dialogues = figures()
    slightly_worse = np.maximum(live - 0.02 * live, 0)
    assert not decide(slightly_worse, live, dialogues).promoted
    assert not decide(slightly_worse, live, dialogues, margin=0.02).promoted
    assert decide(slightly_worse, live, dialogues, margin=0.03).promoted


def test_turns_of_one_dialogue_are_not_counted_as_many() -> None:
    """The same gain, on 400 dialogues or in 100 that are all of a piece: only the first is shown."""
    rng = np.random.default_rng(3)
    of_dialogue = rng.normal(0, 0.03, size=100)
    of_dialogue += 0.005 - of_dialogue.mean()
    together = np.repeat(of_dialogue, 40)
    live = np.full(4000, 0.5)
    apart = decide(live + together, live, list(range(4000)))
    whole = decide(live + together, live, [turn // 40 for turn in range(4000)])
    assert apart.promoted
    assert not whole.promoted
    assert whole.high - whole.low > 4 * (apart.high - apart.low)


def test_the_same_figures_give_the_same_verdict() -> None:
    live, dialogues = figures()
    new = figures(seed=1)[0]
    assert decide(new, live, dialogues) == decide(new, live, dialogues)


@pytest.mark.parametrize("least", [LEAST_DIALOGUES, 150])
def test_too_few_dialogues_decide_nothing(least: int) -> None:
    live, _ = figures(2 * least - 2)
    dialogues = [turn // 2 for turn in range(len(live))]
    with pytest.raises(InputError, match=f"{least - 1} held-out dialogues are too few"):
        decide(live + 0.1, live, dialogues, least=least)
    assert decide(live + 0.1, live, dialogues, least=least - 1).promoted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"new": [], "live": [], "dialogues": []}, "no turns"),
        ({"new": [0.5]}, "shapes"),
        ({"dialogues": [1, 2]}, "2 dialogue ids"),
        ({"new": [[0.5]] * 400}, "shapes"),
        ({"new": [math.nan] + [0.0] * 399}, "new model is nan"),
        ({"live": [0.0] * 399 + [math.inf]}, "live model is inf"),
        ({"live": [-0.1] + [0.0] * 399}, "live model is -0.1"),
        ({"dialogues": [0] * 400}, "1 held-out dialogues"),
        ({"dialogues": [0] * 400, "least": 1}, "one has no spread"),
        ({"margin": -0.01}, "margin"),
        ({"margin": 1.0}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"level": 0.0}, "level"),
        ({"level": 1.0}, "level"),
    ],
)
def test_what_cannot_be_decided_is_said(change: dict[str, Any], message: str) -> None:
    live, dialogues = figures()
    given: dict[str, Any] = {"new": live, "live": live, "dialogues": dialogues, **change}
    with pytest.raises(InputError, match=message):
        decide(given.pop("new"), given.pop("live"), given.pop("dialogues"), **given)


@pytest.mark.parametrize("dialogues", [51, 100, 1000])
@pytest.mark.parametrize("level", [0.9, 0.98, 0.998])
def test_students_interval_is_the_textbooks_where_each_turn_is_a_dialogue(dialogues: int, level: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(dialogues).normal(size=dialogues)
    low, high = student_interval(values, list(range(dialogues)), level=level)
    wanted = stats.t.interval(level, dialogues - 1, loc=values.mean(), scale=stats.sem(values))
    assert (low, high) == pytest.approx(wanted, rel=1e-4)


def test_the_interval_is_the_wider_of_two() -> None:
    live, dialogues = figures()
    new = figures(seed=1)[0]
    low, high = difference_interval(new, live, dialogues, level=0.98)
    t_low, t_high = student_interval(new - live, dialogues, level=0.98)
    assert low <= t_low < t_high <= high
    few = difference_interval(new[:12], live[:12], dialogues[:12], level=0.98)
    assert few == student_interval(new[:12] - live[:12], dialogues[:12], level=0.98)  # there the bootstrap is too short


TRIALS = 600


@pytest.mark.parametrize(
    ("gain", "lost", "least", "most"),
    [(0.0, 0.0, 0.0, 0.03), (-0.05, 0.0, 0.0, 0.01), (0.0, 0.06, 0.0, 0.05), (-0.05, 0.06, 0.0, 0.01)],
    ids=["equal", "5 % worse", "equal, rare large losses", "5 % worse, rare large losses"],
)
def test_rates_of_promotion(bench: ModuleType, gain: float, lost: float, least: float, most: float) -> None:
    draw = bench.with_gain(0.4, gain, lost).draw
    found = bench.rate(draw, 150, TRIALS, 1)
    assert least <= found["promoted"] <= most
    assert found["low"] < found["promoted"] or found["promoted"] == 0


def test_the_gate_can_promote(bench: ModuleType) -> None:
    """Else the rates above would show nothing."""
    assert bench.rate(bench.with_gain(0.4, 0.12).draw, 1000, 10, 1)["promoted"] > 0.7
    assert bench.rate(bench.with_gain(0.4, 0.5).draw, 150, 20, 1)["promoted"] > 0.8


def test_a_margin_is_a_margin(bench: ModuleType) -> None:
    at_the_margin = bench.with_gain(0.4, -0.05).draw
    found = bench.rate(at_the_margin, 150, TRIALS, 2, lambda trial: bench.promoted(trial, margin=0.05))
    assert found["promoted"] <= 0.03


def test_a_looser_gate_would_be_found_out(bench: ModuleType) -> None:
    """What the rates above are checked with can tell a gate that errs in 10 % of trials."""
    loose = bench.rate(bench.with_gain(0.4, 0.0).draw, 150, TRIALS, 1, lambda trial: bench.promoted(trial, level=0.8))
    assert loose["low"] > 0.05


def test_the_published_rates_keep_the_promises(bench: ModuleType) -> None:
    found = json.loads((ROOT / "docs" / "results" / "promotion_gate.json").read_text(encoding="utf-8"))
    assert found["meta"]["least"] == LEAST_DIALOGUES
    assert found["meta"]["level"] == LEVEL
    assert found["holds"]
    assert bench.kept(found, LEAST_DIALOGUES)
    assert {scenario["kind"] for scenario in found["scenarios"]} == {"equal", "worse", "beyond"}
    found["scenarios"][0]["rates"][-1]["high"] = 0.051
    assert not bench.kept(found, LEAST_DIALOGUES)


def test_wilsons_interval(bench: ModuleType) -> None:
    stats = pytest.importorskip("scipy.stats")
    for passed in (0, 3, 50, 100):
        wanted = stats.binomtest(passed, 100).proportion_ci(0.95, "wilson")
        assert bench.wilson(passed, 100) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_real_figures_are_resampled_by_dialogue_and_without_a_side(bench: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    rows = [(d, 1.0, 0.5) for d in "abb"] + [("c", 0.0, 1.0)]
    path.write_text("".join(f'{{"dialogue": "{d}", "new": {n}, "live": {o}}}\n' for d, n, o in rows))
    new, live, of = bench.resampled(path)(np.random.default_rng(0), 4000)
    assert new.mean() == pytest.approx(live.mean(), abs=0.02)
    assert len(set(of.tolist())) == 4000
    assert len(of) / 4000 == pytest.approx(4 / 3, abs=0.05)
    worse, as_before, _ = bench.resampled(path, worse=0.5)(np.random.default_rng(0), 4000)
    assert worse.mean() == pytest.approx(as_before.mean() / 2, rel=0.05)
