"""How often the promotion gate lets a model through that is as good, worse or better than the live one.

Figures of turns are drawn from a model of ranks, or resampled from those of a real decision (``--figures``, a file that
``rarec promote`` wrote). Each trial goes through the gate itself. Run it as ``python benchmarks/promotion_gate.py``.

The model of ranks: a dialogue has 1 + Poisson(1.5) turns. The logarithm of the rank of a turn's target is normal around
a mean, with one part of the dialogue, one of the turn and one of the model; a turn's figure is NDCG@10 of one target.
The part of the model sets how alike two models are; "c" is the correlation of their figures.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from rarec.promotion.gate import LEVEL, decide, student_interval

Floats = NDArray[np.float64]
Trial = tuple[Floats, Floats, NDArray[np.int64]]
"""Figures of the new and the live model, and the dialogue of each turn."""
Draw = Callable[[Generator, int], Trial]
"""A trial of so many dialogues."""

TURNS_BEYOND_ONE = 1.5
LOG_RANK, OF_DIALOGUE, OF_TURN = 4.2, 0.8, 2.0
NOISE = {"alike": 0.4, "unlike": 1.2}
"""The part of the model, as a standard deviation of the logarithm of the rank."""
RARE_LOSSES = {"rare large losses": (0.4, 0.1), "rare large losses, else hardly a change": (0.1, 0.06)}
"""Noise, and the share of hits that the new model loses altogether while it gains a little on the others."""
_LARGE = 400_000
BEYOND = (0.02, 0.06)
"""As above, but so sharp that no interval can know of losses that a sample has not: the promises do not cover it."""


@dataclass(frozen=True, slots=True)
class World:
    """The model of ranks.

    Attributes:
        noise: of each model's own part.
        shift: added to the new model's logarithm of the rank.
        lost: share of turns in which the new model loses the target altogether.
    """

    noise: float
    shift: float = 0.0
    lost: float = 0.0

    def draw(self, generator: Generator, dialogues: int) -> Trial:
        counts = 1 + generator.poisson(TURNS_BEYOND_ONE, dialogues)
        of = np.repeat(np.arange(dialogues), counts)
        turns = len(of)
        common = LOG_RANK + OF_DIALOGUE * generator.normal(size=dialogues)[of] + OF_TURN * generator.normal(size=turns)
        live = _ndcg(common + self.noise * generator.normal(size=turns))
        new = _ndcg(common + self.shift + self.noise * generator.normal(size=turns))
        return np.where(generator.random(turns) < self.lost, 0.0, new), live, of


def _ndcg(log_rank: Floats) -> Floats:
    rank = 1 + np.floor(np.exp(np.minimum(log_rank, 20.0)))
    return np.where(rank <= 10, 1 / np.log2(1 + rank), 0.0)


def with_gain(noise: float, gain: float, lost: float = 0.0) -> World:
    """A world whose new model is better by a share `gain` in truth; with `lost`, despite rare large losses."""
    low, high = -3.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        new, live, _ = World(noise, middle, lost).draw(np.random.default_rng(99), _LARGE)
        low, high = (low, middle) if new.mean() < (1 + gain) * live.mean() else (middle, high)
    return World(noise, (low + high) / 2, lost)


def resampled(path: Path, worse: float = 0.0) -> Draw:
    """Dialogues of a real decision, drawn with replacement.

    The two models' figures change places at random, a dialogue at a time, so that neither is better in truth; the new
    one then loses a share `worse` of what it hit.
    """
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    _, codes = np.unique([row["dialogue"] for row in rows], return_inverse=True)
    pairs = np.array([[row["new"], row["live"]] for row in rows], np.float64)[np.argsort(codes, kind="stable")]
    counts = np.bincount(codes.reshape(-1))
    starts = np.cumsum(counts) - counts

    def draw(generator: Generator, dialogues: int) -> Trial:
        chosen = generator.integers(len(counts), size=dialogues)
        of = np.repeat(np.arange(dialogues), counts[chosen])
        first = np.cumsum(counts[chosen]) - counts[chosen]
        both = pairs[starts[chosen][of] + np.arange(len(of)) - first[of]]
        swapped = (generator.random(dialogues) < 0.5)[of]
        new, live = np.where(swapped, both[:, 1], both[:, 0]), np.where(swapped, both[:, 0], both[:, 1])
        return np.where(generator.random(len(of)) < worse, 0.0, new), live, of

    return draw


def promoted(trial: Trial, *, margin: float = 0.0, level: float = LEVEL) -> bool:
    """The gate's verdict; the bootstrap is spared where Student's t, which must agree, refuses already."""
    new, live, of = trial
    if student_interval(new - live, of, level=level)[0] <= -margin * live.mean():  # type: ignore[arg-type]
        return False
    return decide(new, live, of, margin=margin, level=level, least=2).promoted  # type: ignore[arg-type]


def promoted_by_percentile(trial: Trial) -> bool:
    """What the percentile bootstrap alone would say at 95 %, for comparison."""
    from rarec.evaluate.bootstrap import paired_interval

    new, live, of = trial
    return paired_interval(new, live, of, generator=np.random.default_rng(0))[0] > 0


def rate(
    draw: Draw, dialogues: int, trials: int, seed: int, judge: Callable[[Trial], bool] = promoted
) -> dict[str, Any]:
    """Share of trials that are promoted, with its 95 % Wilson interval."""
    generator = np.random.default_rng([seed, dialogues])
    passed = sum(judge(draw(generator, dialogues)) for _ in range(trials))
    low, high = wilson(passed, trials)
    return {"dialogues": dialogues, "trials": trials, "promoted": passed / trials, "low": low, "high": high}


def wilson(passed: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share. Source: Wilson 1927."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, factor = passed / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / factor
    reach = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / factor
    return max(0.0, middle - reach), min(1.0, middle + reach)


def dialogues_for(draw: Draw, *, power: float, trials: int, seed: int) -> dict[str, Any]:
    """The fewest dialogues, to about 5 %, that have so much power: a guess from one large sample, then trials."""
    new, live, of = draw(np.random.default_rng(7), 20_000)
    low, high = student_interval(new - live, of, level=LEVEL)  # type: ignore[arg-type]
    reach = NormalDist().inv_cdf((1 + LEVEL) / 2)
    error_of_one = (high - low) / 2 / reach * math.sqrt(20_000)
    guess = ((reach + NormalDist().inv_cdf(power)) * error_of_one / float((new - live).mean())) ** 2
    step = max(1, round(guess * 0.05))
    at = max(10, round(guess) - step)
    while (found := rate(draw, at, trials, seed))["promoted"] < power:
        at += step
    return found


def describe(draw: Draw) -> dict[str, float]:
    """Of one large sample: what the figures are like."""
    new, live, of = draw(np.random.default_rng(5), 50_000)
    differences = new - live
    return {
        "live": float(live.mean()),
        "new": float(new.mean()),
        "gain": float(new.mean() / live.mean() - 1),
        "zero share of live": float((live == 0).mean()),
        "zero share of differences": float((differences == 0).mean()),
        "spread of differences": float(differences.std()),
        "correlation": float(np.corrcoef(new, live)[0, 1]),
        "turns a dialogue": len(of) / 50_000,
    }


def scenarios(figures: Path | None) -> Iterator[tuple[str, str, Draw]]:
    """Kind (equal, worse, beyond what is promised), name, trials."""
    for name, noise in NOISE.items():
        yield "equal", f"equal, {name}", World(noise).draw
        yield "worse", f"5 % worse, {name}", with_gain(noise, -0.05).draw
    for name, (noise, lost) in RARE_LOSSES.items():
        yield "equal", f"equal, {name}", with_gain(noise, 0.0, lost).draw
        yield "worse", f"5 % worse, {name}", with_gain(noise, -0.05, lost).draw
    yield "beyond", "equal, rare large losses, else almost no change", with_gain(BEYOND[0], 0.0, BEYOND[1]).draw
    yield "worse", "5 % worse, only by losses", World(NOISE["alike"], lost=0.05).draw
    if figures is not None:
        yield "equal", "equal, real figures", resampled(figures)
        yield "worse", "5 % worse, real figures", resampled(figures, worse=0.05)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    found: dict[str, Any] = {"scenarios": [], "power": [], "percentile": [], "margin": []}
    for kind, name, draw in scenarios(options.figures):
        rates = [rate(draw, at, options.trials, options.seed) for at in (*options.below, *options.dialogues)]
        found["scenarios"].append({"kind": kind, "name": name, "about": describe(draw), "rates": rates})
        print(_line(name, rates), flush=True)
    for name, noise in NOISE.items():
        draw = with_gain(noise, 0.12).draw
        at = dialogues_for(draw, power=0.8, trials=options.power_trials, seed=options.seed)
        found["power"].append({"name": f"12 % better, {name}", "about": describe(draw), **at})
        print(_line(f"12 % better, {name}: 80 % power", [at]), flush=True)
    for gain, kind in ((0.0, "equal"), (-0.05, "worse")):
        draw = with_gain(NOISE["alike"], gain).draw
        rates = [
            rate(draw, at, options.power_trials, options.seed, promoted_by_percentile)
            for at in (*options.below, *options.dialogues[:2])
        ]
        found["percentile"].append({"kind": kind, "name": "percentile bootstrap alone, 95 %", "rates": rates})
        print(_line(f"{kind}, percentile bootstrap alone, 95 %", rates), flush=True)
    for gain in (-0.05, 0.0):
        draw = with_gain(NOISE["alike"], gain).draw
        rates = [
            rate(draw, at, options.power_trials, options.seed, lambda trial: promoted(trial, margin=0.05))
            for at in (options.dialogues[0], options.dialogues[-1])
        ]
        found["margin"].append({"gain": gain, "margin": 0.05, "rates": rates})
        print(_line(f"margin 5 %, truth {gain:+.0%}", rates), flush=True)
    return found


def _line(name: str, rates: Sequence[dict[str, Any]]) -> str:
    parts = [f"{r['dialogues']}: {r['promoted']:.2%} [{r['low']:.2%}, {r['high']:.2%}]" for r in rates]
    return f"{name:50} promoted at " + ", ".join(parts)


def kept(found: dict[str, Any], least: int) -> bool:
    """Whether the promises hold, with the whole Wilson interval, for all numbers of dialogues that the gate accepts."""
    most = {"equal": 0.05, "worse": 0.01}
    return all(
        rate["high"] <= most[scenario["kind"]]
        for scenario in found["scenarios"]
        for rate in scenario["rates"]
        if rate["dialogues"] >= least and scenario["kind"] in most
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--power-trials", type=int, default=1000)
    parser.add_argument("--dialogues", type=int, nargs="+", default=[100, 200, 400, 800])
    parser.add_argument("--below", type=int, nargs="*", default=[20, 50], help="fewer than the gate accepts")
    parser.add_argument("--figures", type=Path, help="of a real decision, to resample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> int:
    from rarec.promotion.gate import LEAST_DIALOGUES, SAMPLES

    options = parse()
    found = measured(options)
    holds = kept(found, LEAST_DIALOGUES)
    print(f"equal promoted in at most 5 %, 5 % worse in at most 1 %, from {LEAST_DIALOGUES} dialogues on: {holds}")
    if options.json:
        settings = {name: value for name, value in vars(options).items() if name not in ("json", "figures")}
        meta = settings | {"level": LEVEL, "samples": SAMPLES, "least": LEAST_DIALOGUES, "date": time.strftime("%F")}
        document = {"meta": meta | {"real figures": options.figures is not None}, "holds": holds, **found}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
