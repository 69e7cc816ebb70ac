"""Two runs side by side: the same rows, system by system."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rarec.errors import InputError
from rarec.evaluate.folder import CONFIG
from rarec.evaluate.gold import Gold, GoldExample
from rarec.evaluate.predictions import Predictions
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.results import Block, Pair
from rarec.evaluate.runner import Run, read_run
from rarec.evaluate.score import Options, score
from rarec.types import ItemId


@dataclass(frozen=True, slots=True)
class Side:
    """One half of a comparison: the folder of a run, and one of its systems, or all of them if none is named."""

    root: Path
    system: str | None = None

    @staticmethod
    def parse(text: str) -> Side:
        """Read ``FOLDER`` or ``FOLDER:SYSTEM``; both may have colons of their own.

        Raises:
            InputError: no part of it is the folder of a run.
        """
        if (Path(text) / CONFIG).exists():
            return Side(Path(text))
        for at in (place for place, letter in enumerate(text) if letter == ":"):
            if (Path(text[:at]) / CONFIG).exists() and text[at + 1 :]:
                return Side(Path(text[:at]), text[at + 1 :])
        raise InputError(f"no run in {text!r}; give the folder that rarec evaluate made, or FOLDER:SYSTEM")


ROUNDING = 1e-12
"""Averages over rows and seeds may differ by so much although every row is the same."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same rows.

    Attributes:
        a, b: how the two are called in `block`.
        pairs: the difference a - b on every measure that both can tell.
        block: both systems' own figures.
    """

    a: str
    b: str
    block: Block
    pairs: tuple[Pair, ...]

    @property
    def identical(self) -> bool:
        """Whether the two do not differ in any row, on any measure."""
        zeros = ((pair.delta, pair.low, pair.high, pair.a_only or 0.0, pair.b_only or 0.0) for pair in self.pairs)
        return bool(self.pairs) and not any(abs(value) > ROUNDING for values in zeros for value in values)

    @property
    def headline(self) -> Pair | None:
        """The difference on the headline measure, else on the first that both can tell."""
        return next((pair for pair in self.pairs if pair.measure == self.block.headline), (*self.pairs, None)[0])

    def document(self) -> dict[str, Any]:
        """As JSON: the block's protocol and n, and for each measure both figures and the paired difference."""
        ours, theirs = self.block.system(self.a), self.block.system(self.b)
        measures = {
            pair.measure: {
                "a": ours.figures[pair.measure].value,
                "b": theirs.figures[pair.measure].value,
                "delta": pair.delta,
                "ci": [pair.low, pair.high],
                "minimum_detectable": pair.minimum_detectable,
                "separates": pair.separates,
            }
            for pair in self.pairs
        }
        block = self.block
        shared = {"data_set": block.data_set, "split": block.split, "protocol": block.protocol, "n": block.rows}
        only = {"a_only": self.pairs[0].a_only, "b_only": self.pairs[0].b_only} if self.pairs else {}
        bounds = {"a_lower_bound": ours.lower_bound, "b_lower_bound": theirs.lower_bound}
        return {
            **shared, "a": self.a, "b": self.b, **bounds, "identical": self.identical, "measures": measures, **only,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Systems of one data set that only one side has, so that they are in no comparison."""

    data_set: str
    a: tuple[str, ...]
    b: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """What two runs have in common, and what not.

    Attributes:
        unmatched: of data sets where one side has a system that the other lacks; empty if two systems were named.
    """

    comparisons: tuple[Comparison, ...]
    unmatched: tuple[Unmatched, ...] = ()


def compare_runs(a: Side, b: Side, *, protocol: str = "new-targets") -> Compared:
    """Compare two runs on every data set that both have, or two systems of one run or of two.

    If neither side names a system, those that both runs have are compared by name; if one does, it is compared with
    the system of that name in the other. Bootstrap and measures are as run `a` asked; measures that run `b` did not
    ask are computed for it as well.

    Raises:
        InputError: a run is not finished or damaged, nothing is in both, or the rows differ; the first example that
            does is named.
    """
    wanted = EvaluationProtocol.parse(protocol)
    (recipe, first), (_, second) = read_run(a.root), read_run(b.root)
    found: list[Comparison] = []
    unmatched: list[Unmatched] = []
    shared = [(x, y) for x in first.data_sets for y in second.data_sets if x[0].data_set == y[0].data_set]
    if not shared:
        raise InputError(f"no data set is in both {str(a.root)!r} and {str(b.root)!r}; {_had(first)}, {_had(second)}")
    options = replace(recipe.run.options(), all_pairs=True, slices=False, against=None)
    for (gold, ours), (other, theirs) in shared:
        check_same_rows(gold, other, wanted)
        for one, two in _systems(a, b, ours, theirs, wanted):
            found.append(_compared(gold, one, two, wanted, options))
        if a.system is None and b.system is None:
            unmatched += _unmatched(gold.data_set, _by_name(ours, wanted), _by_name(theirs, wanted))
    if not found:
        raise InputError(
            f"no system over the catalogue of {protocol!r} is in both {str(a.root)!r} and {str(b.root)!r}; name two: "
            "FOLDER:SYSTEM"
        )
    return Compared(tuple(found), tuple(unmatched))


def _unmatched(data_set: str, ours: Mapping[str, object], theirs: Mapping[str, object]) -> list[Unmatched]:
    first, second = (tuple(n for n in x if n not in y) for x, y in ((ours, theirs), (theirs, ours)))
    return [Unmatched(data_set, first, second)] if first or second else []


def check_same_rows(a: Gold, b: Gold, protocol: EvaluationProtocol) -> None:
    """Refuse two golds that are not the same examples, targets and catalogue.

    What else conversations mention is no part of the rows: no list of the protocol has it.

    Raises:
        InputError: the first example, or item, in which they differ is named.
    """
    where = f"on {a.data_set!r} ({a.split!r} and {b.split!r})"
    theirs = {example.id: example for example in b.examples}
    ours, others = a.catalogue(protocol.catalogue), b.catalogue(protocol.catalogue)
    for example in a.examples:
        if example.id not in theirs:
            raise InputError(f"the runs have different rows {where}: only the first has the example {example.id!r}")
        if (what := _difference(example, theirs.pop(example.id), ours | others)) is not None:
            raise InputError(f"the runs have different rows {where}: {example.id!r} has {what}")
    if theirs:
        left = next(iter(theirs))
        raise InputError(f"the runs have different rows {where}: only the second has the example {left!r}")
    if ours != others:
        raise InputError(f"the runs rank different catalogues {where}: only one has the item {min(ours ^ others)!r}")


def _difference(a: GoldExample, b: GoldExample, catalogue: Collection[ItemId]) -> str | None:
    for field in ("targets", "repeated", "seen", "dialogue"):
        ours, theirs = getattr(a, field), getattr(b, field)
        if field == "seen":
            ours, theirs = ([item for item in seen if item in catalogue] for seen in (ours, theirs))
        # Their order says nothing about a row.
        same = ours == theirs if isinstance(ours, str) else set(ours) == set(theirs)
        if not same:
            return f"{field} {_shown(ours)} in the first and {_shown(theirs)} in the second"
    return None


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else repr(sorted(value))


Runs = tuple[str, tuple[Predictions, ...]]
"""What a system is called, and its runs, one a seed."""


def _systems(
    a: Side, b: Side, ours: Sequence[Predictions], theirs: Sequence[Predictions], protocol: EvaluationProtocol
) -> list[tuple[Runs, Runs]]:
    first, second = _by_name(ours, protocol), _by_name(theirs, protocol)
    if a.system is None and b.system is None:
        names = [(name, name) for name in first if name in second]
    else:
        names = [(str(a.system or b.system), str(b.system or a.system))]
    if names and names[0][0] == names[0][1] and a.root.resolve() == b.root.resolve():
        raise InputError(f"both sides are the same run {str(a.root)!r}; name two systems: FOLDER:SYSTEM")
    for side, (name, known) in ((a, (names[0][0], first)), (b, (names[0][1], second))) if names else ():
        if name not in known:
            raise InputError(f"{str(side.root)!r} has no system {name!r} for this protocol, only {sorted(known)!r}")
    one, two = _folder_names(a.root, b.root)
    return [((_label(one, x, y), first[x]), (_label(two, y, x), second[y])) for x, y in names]


def _by_name(predictions: Sequence[Predictions], protocol: EvaluationProtocol) -> dict[str, tuple[Predictions, ...]]:
    found: dict[str, tuple[Predictions, ...]] = {}
    for given in predictions:
        if given.catalogue == protocol.catalogue:
            found[given.system] = (*found.get(given.system, ()), given)
    return found


def _folder_names(a: Path, b: Path) -> tuple[str, str]:
    one, two = a.resolve().name, b.resolve().name
    return (one, two) if one != two else (str(a), str(b))


def _label(folder: str, system: str, other: str) -> str:
    """The system's name, with its folder where the two would be called alike."""
    return system if system != other else f"{folder}: {system}"


def _compared(gold: Gold, a: Runs, b: Runs, protocol: EvaluationProtocol, options: Options) -> Comparison:
    predictions = [replace(run, system=name) for name, runs in (a, b) for run in runs]
    (block,) = score(gold, predictions, protocols=[protocol], options=options)
    pairs = [block.pair(a[0], b[0], measure) for measure in block.measures if _told(block, measure)]
    return Comparison(a[0], b[0], block, tuple(pairs))


def _told(block: Block, measure: str) -> bool:
    return all(system.figures[measure].value is not None for system in block.systems)


def _had(run: Run) -> str:
    return f"one has {sorted(gold.data_set for gold, _ in run.data_sets)!r}"
