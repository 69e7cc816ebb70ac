"""Gold and predictions -> figures, each with its protocol, its n and its interval."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.evaluate.beyond import BeyondAccuracy
from rarec.evaluate.bootstrap import ClusterBootstrap, Floats, letters, minimum_detectable, percentiles
from rarec.evaluate.generation_figures import generation
from rarec.evaluate.gold import Gold, GoldExample
from rarec.evaluate.metrics import MISS, PER_TARGET, Ranks, per_turn
from rarec.evaluate.predict import check_predictions
from rarec.evaluate.predictions import Predictions
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.results import Band, Block, Figure, Pair, SystemResult
from rarec.evaluate.slices import Bands, context_slices, target_slices
from rarec.types import ItemId

_MEASURE = re.compile(r"(R|N|MRR)@([1-9]\d*)")
OVERLAP = "R@10"
_SLICED = ("R@10", "N@10")


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured.

    Attributes:
        measures: names such as "R@10" (recall), "N@10" (NDCG), "MRR@10".
        headline: the measure of groups and pairs.
        seed, samples, level: of the bootstrap by dialogue.
        against: a system that every other is compared with on all measures; None compares pairs on the headline only.
        all_pairs: compare every pair on all measures.
        slices: also give figures by band.
    """

    measures: tuple[str, ...] = ("R@1", "R@5", "R@10", "R@20", "R@50", "N@10", "MRR@10")
    headline: str = "N@10"
    seed: int = 0
    samples: int = 2000
    level: float = 0.95
    against: str | None = None
    all_pairs: bool = False
    slices: bool = True

    def __post_init__(self) -> None:
        for measure in (*self.measures, self.headline):
            measure_parts(measure)
        if self.headline not in self.measures:
            raise InputError(f"the headline {self.headline!r} is not among the measures {self.measures!r}; add it")
        if len(set(self.measures)) != len(self.measures):
            raise InputError(f"a measure comes twice in {self.measures!r}")
        if not 0 < self.level < 1:
            raise InputError(f"level must be between 0 and 1, got {self.level!r}; 0.95 is usual")

    @property
    def depth(self) -> int:
        """How long lists must be for all measures."""
        return max(measure_parts(measure)[1] for measure in self.measures)


def measure_parts(measure: str) -> tuple[str, int]:
    """Kind and cut-off of a measure's name.

    Raises:
        InputError: it is not of the form R@k, N@k or MRR@k.

    >>> measure_parts("N@10")
    ('N', 10)
    """
    found = _MEASURE.fullmatch(measure)
    if found is None:
        raise InputError(f"unknown measure {measure!r}; use R@k, N@k or MRR@k with k >= 1")
    return found[1], int(found[2])


@dataclass(frozen=True, slots=True)
class Rows:
    """What is counted under a protocol: pairs of example and target, and where each turn's pairs begin.

    Attributes:
        pair_example: place in `examples` of each pair; ascending.
        starts: first pair of each example.
        unmapped: ground truths without an item of their own.
    """

    protocol: EvaluationProtocol
    examples: tuple[GoldExample, ...]
    pair_example: NDArray[np.intp]
    targets: tuple[ItemId, ...]
    starts: NDArray[np.intp]
    unmapped: int

    @property
    def row_examples(self) -> list[GoldExample]:
        """The example of each row: of each pair, or each example once if the unit is the turn."""
        if self.protocol.unit == "turn":
            return list(self.examples)
        return [self.examples[at] for at in self.pair_example]


def rows_of(gold: Gold, protocol: EvaluationProtocol) -> Rows:
    """The rows of a protocol, the same for every system.

    Raises:
        InputError: there are none, or a target is outside the catalogue of the protocol.
    """
    catalogue = gold.catalogue(protocol.catalogue)
    kept: list[GoldExample] = []
    pairs: list[tuple[int, ItemId]] = []
    starts: list[int] = []
    for example in gold.examples:
        counted = [t for t in example.targets if protocol.targets == "all" or t not in example.repeated]
        if outside := [t for t in counted if t not in catalogue]:
            raise InputError(
                f"the target {outside[0]!r} of {example.id!r} is not in the catalogue of {protocol.name!r}"
            )
        if counted:
            starts.append(len(pairs))
            pairs += [(len(kept), target) for target in counted]
            kept.append(example)
    if not pairs:
        raise InputError(
            f"none of {len(gold.examples)} examples of {gold.data_set!r} {gold.split!r} has a target under "
            f"{protocol.name!r}; is this the right file?"
        )
    places = np.array([at for at, _ in pairs], np.intp)
    unmapped = sum(example.unmapped for example in gold.examples)
    return Rows(protocol, tuple(kept), places, tuple(t for _, t in pairs), np.array(starts, np.intp), unmapped)


def target_ranks(predictions: Predictions, rows: Rows) -> Ranks:
    """The rank of each pair's target, 0 for a miss, shape (pairs,); mentioned items are removed where they should be.

    Raises:
        InputError: only ranks are known, and not this one.
    """
    seen = rows.protocol.seen
    if not predictions.lists:
        ranks = []
        for at, target in zip(rows.pair_example, rows.targets, strict=True):
            key = (rows.examples[at].id, target, seen)
            if key not in predictions.ranks:
                raise InputError(
                    f"{predictions.system!r} has no rank for {target!r} of {key[0]!r} with mentioned items {seen}; "
                    "the recording and the examples do not fit"
                )
            ranks.append(predictions.ranks[key])
        return np.array(ranks, np.int64)
    found: list[dict[ItemId, int]] = [
        {item: place for place, item in enumerate(counted_list(predictions, example, rows.protocol), start=1)}
        for example in rows.examples
    ]
    return np.array(
        [found[at].get(target, MISS) for at, target in zip(rows.pair_example, rows.targets, strict=True)], np.int64
    )


def counted_list(predictions: Predictions, example: GoldExample, protocol: EvaluationProtocol) -> tuple[ItemId, ...]:
    """The list of an example as a protocol counts it: without mentioned items where they are excluded, cut to depth."""
    items = predictions.lists[example.id]
    if protocol.seen == "excluded":
        removed = frozenset(example.seen)
        items = tuple(item for item in items if item not in removed)
    return items[: predictions.depth]


def score(
    gold: Gold, predictions: Sequence[Predictions], *, protocols: Sequence[EvaluationProtocol], options: Options
) -> tuple[Block, ...]:
    """One block for each protocol, over the systems that ranked its catalogue, in the order given.

    Runs of one system with several seeds are averaged row by row before anything else. A protocol over a catalogue
    that no system ranked is an error.

    Raises:
        InputError: predictions do not fit the gold (see `check_predictions`) or come twice.
    """
    seen: set[tuple[str, int | None, str]] = set()
    for given in predictions:
        check_predictions(gold, given)
        key = (given.system, given.seed, given.catalogue)
        if key in seen:
            raise InputError(f"there are two predictions of {given.system!r} with seed {given.seed!r}; name them apart")
        seen.add(key)
    return tuple(_block(gold, predictions, protocol, options) for protocol in protocols)


def _block(gold: Gold, predictions: Sequence[Predictions], protocol: EvaluationProtocol, options: Options) -> Block:
    systems: dict[str, list[Predictions]] = {}
    for given in predictions:
        if given.catalogue == protocol.catalogue:
            systems.setdefault(given.system, []).append(given)
    if not systems:
        raise InputError(
            f"no system ranked the catalogue of {protocol.name!r}; there are {len(predictions)} predictions"
        )
    if options.against is not None and options.against not in systems:
        raise InputError(f"cannot compare against {options.against!r}: the systems are {list(systems)!r}")
    table = _Scored(gold, systems, rows_of(gold, protocol), options)
    return Block(
        data_set=gold.data_set,
        split=gold.split,
        protocol=protocol.name,
        sentence=protocol.sentence,
        rows=len(table.rows.row_examples),
        examples=len(table.rows.examples),
        dialogues=len({example.dialogue for example in table.rows.examples}),
        catalogue=len(gold.catalogue(protocol.catalogue)),
        unmapped=table.rows.unmapped,
        measures=options.measures,
        headline=options.headline,
        level=options.level,
        samples=options.samples,
        seed=options.seed,
        systems=tuple(table.systems()),
        pairs=table.pairs,
    )


class _Scored:
    """All systems under one protocol, with one set of bootstrap draws for all."""

    def __init__(self, gold: Gold, systems: Mapping[str, Sequence[Predictions]], rows: Rows, options: Options) -> None:
        self.rows, self._gold, self._given, self._options = rows, gold, systems, options
        self._ranks = {name: [target_ranks(run, rows) for run in runs] for name, runs in systems.items()}
        self._depth = {name: min(run.depth for run in runs) for name, runs in systems.items()}
        self._values = {name: self._averaged(name) for name in systems}
        clusters = [example.dialogue for example in rows.row_examples]
        generator = np.random.default_rng(options.seed)
        self._bootstrap = ClusterBootstrap(clusters, generator=generator, samples=options.samples)
        self._draws = {name: self._bootstrap.means(_columns(own)) for name, own in self._values.items() if own}
        self.pairs = tuple(self._pairs())
        self._slices: dict[str, Bands] = {}
        if options.slices:
            if rows.protocol.unit == "target":
                self._slices |= target_slices([gold.items[target] for target in rows.targets])
                if not any(item.popularity for item in gold.items.values()):  # no training, so nothing is known
                    del self._slices["popularity"], self._slices["cold"]
            self._slices |= context_slices(rows.row_examples)
        catalogue = gold.catalogue(rows.protocol.catalogue)
        items = {item: facts for item, facts in gold.items.items() if item in catalogue}
        self._beyond = BeyondAccuracy(items, rows.targets)

    def systems(self) -> list[SystemResult]:
        separated = {(p.a, p.b) for p in self.pairs if p.measure == self._options.headline and self._is_shown(p)}
        compared = [name for name, values in self._values.items() if self._options.headline in values]
        groups = letters(compared, separated)
        return [self._system(name, groups.get(name, "")) for name in self._given]

    def _is_shown(self, pair: Pair) -> bool:
        """Whether it separates; a system that is known from below only may well reach one that stands above it."""
        lower = pair.a if pair.delta < 0 else pair.b
        return pair.separates and not any(run.lower_bound for run in self._given[lower])

    def _system(self, name: str, group: str) -> SystemResult:
        runs = self._given[name]
        return SystemResult(
            system=name,
            depth=self._depth[name],
            figures=self._figures(name),
            group=group,
            seeds=len(runs),
            seed_sd=self._seed_sd(name) if len(runs) > 1 else {},
            lower_bound=any(run.lower_bound for run in runs),
            note=runs[0].note,
            slices={slice_: tuple(self._bands(name, bands)) for slice_, bands in self._slices.items()},
            beyond=self._beyond_accuracy(runs),
            generation=generation([call for run in runs for call in run.calls.values()]),
            recall_curve=tuple(self._recall_curve(name)),
        )

    def _run_values(self, name: str, ranks: Ranks) -> dict[str, Floats]:
        """Measure -> one value a row; measures that the lists are too short to tell are left out."""
        values: dict[str, Floats] = {}
        for measure in self._options.measures:
            kind, k = measure_parts(measure)
            if k <= self._depth[name]:
                values[measure] = self._measured(kind, ranks, k)
        return values

    def _measured(self, kind: str, ranks: Ranks, k: int) -> Floats:
        if self.rows.protocol.unit == "turn":
            return per_turn(kind, ranks, k, self.rows.starts)
        return PER_TARGET[kind](ranks, k)

    def _averaged(self, name: str) -> dict[str, Floats]:
        runs = [self._run_values(name, ranks) for ranks in self._ranks[name]]
        return {measure: np.mean([run[measure] for run in runs], axis=0) for measure in runs[0]}

    def _seed_sd(self, name: str) -> dict[str, float]:
        runs = [self._run_values(name, ranks) for ranks in self._ranks[name]]
        return {m: float(np.std([run[m].mean() for run in runs], ddof=1)) for m in runs[0]}

    def _figures(self, name: str) -> dict[str, Figure]:
        own = self._values[name]
        figures = {measure: Figure(value=None) for measure in self._options.measures}
        if own:
            ends = self._ends(self._draws[name], self._bootstrap.clusters())
            for (measure, values), both in zip(own.items(), ends, strict=True):
                figures[measure] = Figure(value=float(values.mean()), **both)
        return figures

    def _ends(self, draws: Floats, dialogues: int) -> list[dict[str, float]]:
        """Low and high of each column, or neither: one dialogue tells nothing about others."""
        lows, highs = percentiles(draws, level=self._options.level).tolist()
        known = [dialogues > 1 and not np.isnan(low) for low in lows]  # no draw may have rows of a band
        return [{"low": low, "high": high} if so else {} for low, high, so in zip(lows, highs, known, strict=True)]

    def _pairs(self) -> list[Pair]:
        options, pairs = self._options, []
        for a, b in combinations(self._values, 2):
            whole = options.all_pairs or options.against in (a, b)
            for measure in options.measures if whole else (options.headline,):
                if measure in self._values[a] and measure in self._values[b]:
                    pairs.append(self._pair(a, b, measure))
        return pairs

    def _pair(self, a: str, b: str, measure: str) -> Pair:
        draws = self._draw(a, measure) - self._draw(b, measure)
        low, high = percentiles(draws, level=self._options.level).tolist()
        detectable = minimum_detectable(draws, level=self._options.level)
        if self._bootstrap.clusters() == 1:  # it tells nothing about others, where any difference is possible
            low, high, detectable = -1.0, 1.0, 1.0
        a_only, b_only = self._overlap(a, b)
        return Pair(
            a=a, b=b, measure=measure,
            delta=float((self._values[a][measure] - self._values[b][measure]).mean()),
            low=low, high=high, minimum_detectable=detectable,
            a_only=a_only, b_only=b_only,
        )  # fmt: skip

    def _draw(self, name: str, measure: str) -> Floats:
        return np.asarray(self._draws[name][:, list(self._values[name]).index(measure)], np.float64)

    def _overlap(self, a: str, b: str) -> tuple[float | None, float | None]:
        """Share of rows found by one system only; for one target a row, where both lists reach ten places.

        Runs of the same seed are compared with each other; a system without seeds with every run of the other.
        """
        kind, k = measure_parts(OVERLAP)
        if min(self._depth[a], self._depth[b]) < k or self.rows.protocol.unit == "turn":
            return None, None
        ours = np.array([self._measured(kind, ranks, k) for ranks in self._ranks[a]])
        theirs = np.array([self._measured(kind, ranks, k) for ranks in self._ranks[b]])
        if len(ours) != len(theirs):
            ours, theirs = ours.mean(axis=0)[None], theirs.mean(axis=0)[None]
        return float((ours * (1 - theirs)).mean()), float((theirs * (1 - ours)).mean())

    def _bands(self, name: str, bands: Bands) -> list[Band]:
        own = {measure: values for measure, values in self._values[name].items() if measure in _SLICED}
        result: list[Band] = []
        for band, inside in bands.items():
            n, figures = int(inside.sum()), {}
            if n and own:
                ends = self._ends(self._bootstrap.band_means(_columns(own), inside), self._bootstrap.clusters(inside))
                for (measure, values), both in zip(own.items(), ends, strict=True):
                    figures[measure] = Figure(value=float(values[inside].mean()), **both)
            result.append(Band(band=band, n=n, figures=figures))
        return result

    def _beyond_accuracy(self, runs: Sequence[Predictions]) -> dict[str, float | None]:
        if not all(run.lists for run in runs):
            return {}
        figures = [
            self._beyond([counted_list(run, example, self.rows.protocol) for example in self.rows.examples])
            for run in runs
        ]
        averaged: dict[str, float | None] = {}
        for measure in figures[0]:
            known = [value for value in (figure[measure] for figure in figures) if value is not None]
            averaged[measure] = float(np.mean(known)) if known else None
        return averaged

    def _recall_curve(self, name: str) -> list[float]:
        """Recall at 1, 2, ... depth, averaged over rows as the protocol counts them, and over seeds."""
        counts = np.diff(np.r_[self.rows.starts, len(self.rows.targets)])
        if self.rows.protocol.unit == "turn":
            weights = 1.0 / counts[self.rows.pair_example] / len(self.rows.examples)
        else:
            weights = np.full(len(self.rows.targets), 1.0 / len(self.rows.targets))
        depth = self._depth[name]
        curves = []
        for ranks in self._ranks[name]:
            reached = np.where(ranks > depth, MISS, ranks)
            curves.append(np.cumsum(np.bincount(reached, weights, minlength=depth + 1)[1:]))
        curve: list[float] = np.mean(curves, axis=0).tolist()
        return curve


def _columns(values: Mapping[str, Floats]) -> Floats:
    return np.stack(list(values.values()), axis=1)
