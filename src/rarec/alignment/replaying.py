"""A finished run done again from its ledgers: what it did, and where a replay departs from it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import Any

import torch

from rarec.align.checkpoint import iterations_of
from rarec.align.journal import LOG, read_log
from rarec.align.loop import CHECKPOINT, Course
from rarec.alignment.reading import FIGURES, read_figures, seed_folder
from rarec.alignment.recipe import AlignRecipe
from rarec.alignment.records import AGAIN
from rarec.errors import StoreError

MADE_WITH = "made with"
"""Key of figures.json."""
_OF_THE_CLOCK = ("seconds", "time", "cached", "from ledger", "calls", "tokens", "usd")
"""How names begin of facts that a replay need not repeat."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A finished run.

    Attributes:
        figures: as in figures.json.
        courses: seed -> what was done.
    """

    folder: Path
    figures: Mapping[str, Any]
    courses: Mapping[int, Course]

    def has_weights(self, seed: int, weights: str) -> bool:
        """Whether a seed ended with the weights of that sha256."""
        return bool(self.figures["seeds"][str(seed)]["weights"] == weights)

    def departure(self, seed: int, replay: Path) -> str:
        """Where a replay of a seed in that folder parts from the run, and what may be the cause.

        Raises:
            StoreError: a log cannot be read.
        """
        found = first_difference(seed_folder(self.folder, seed) / LOG, replay / LOG)
        where = f"seed {seed} departs from its run {found}" if found else f"the log of seed {seed} is that of its run"
        return f"{where}; {likely_causes(self.figures)}"


def finished_run(recipe: AlignRecipe, out: Path) -> Finished:
    """The run in a folder, to be replayed.

    Raises:
        StoreError: the run is not finished: it is said how far each seed is.
        BundleError: a checkpoint is damaged.
    """
    figures = read_figures(out) if (out / FIGURES).exists() else {}
    found: dict[int, Course] = {}
    stands: dict[int, int | None] = {}
    for seed in recipe.seeds:
        done, course = iterations_of(seed_folder(out, seed) / CHECKPOINT), _course(out, figures, seed)
        stands[seed] = course.iterations if done is None and course is not None else done
        # A run that goes on has a later checkpoint than its figures; one that is finished may have lost it.
        if course is not None and stands[seed] == course.iterations:
            found[seed] = course
    if len(found) < len(stands):
        whole = recipe.loop.iterations
        told = ", ".join(f"seed {seed} has done {done or 0:,} of {whole:,} iterations" for seed, done in stands.items())
        raise StoreError(
            f"only a finished run can be replayed, and the one in {str(out)!r} is not: {told}; run the same command "
            "without --replay first, it goes on where it was"
        )
    return Finished(out, figures, found)


def _course(out: Path, figures: Mapping[str, Any], seed: int) -> Course | None:
    """What the figures say that a seed did; None if they do not have it. Raises StoreError if they are damaged."""
    try:
        own = figures.get("seeds", {}).get(str(seed))
        if own is None:
            return None
        str(own["weights"])  # by which a replay is found to be equal
        validated = frozenset(int(at) for at, _ in own["validated"])
        return Course(int(own["iterations"]), validated, str(own["stopped"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(f"{str(out / FIGURES)!r} is damaged at seed {seed}: {what}; {AGAIN}") from error


def made_with() -> dict[str, str]:
    """What decides a run's arithmetic beside its recipe and data."""
    return {
        "rarec": version("rarec"),
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def first_difference(run: Path, replay: Path) -> str:
    """Where two logs part, in words; empty if they say the same, but for times and costs.

    Raises:
        StoreError: a log cannot be read.
    """
    before, now = _steps(run), _steps(replay)
    for place in sorted(before.keys() | now.keys()):
        old, new = before.get(place), now.get(place)
        if old is None or new is None or not _same(old, new):
            iteration, is_step = place
            where = f"at iteration {iteration}" if is_step else f"at the validation after {iteration} iterations"
            return f"{where}: {_told(old, new)}"
    return ""


def likely_causes(before: Mapping[str, Any]) -> str:
    """Why a replay may differ, with what the run was made with, if that is known, and what is here.

    Args:
        before: the run's figures.json.
    """
    was, here = before.get(MADE_WITH) or {}, made_with()
    other = [f"{name} {was[name]} then, {value} now" for name, value in here.items() if was.get(name, value) != value]
    if other:
        return f"what may be the cause: {'; '.join(other)}"
    known = ", ".join(f"{name} {value}" for name, value in here.items())
    return "what may be the cause: another processor or another build of torch, or embeddings that were made anew; " + (
        f"both were made with {known}" if was else f"this was made with {known}, and of the run it is not known"
    )


_Place = tuple[int, bool]
"""Iterations before, and whether it is a step: a validation comes before the step of the same number."""


def _steps(log: Path) -> dict[_Place, dict[str, Any]]:
    """The last line of each place."""
    return {
        (int(facts["iteration"]), facts.get("kind") != "validation"): {
            name: value for name, value in facts.items() if not name.startswith(_OF_THE_CLOCK)
        }
        for facts in read_log(log)
    }


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return old.keys() == new.keys() and all(_equal(old[name], new[name]) for name in old)


def _equal(old: object, new: object) -> bool:
    return old == new or (isinstance(old, float) and isinstance(new, float) and isnan(old) and isnan(new))


def _told(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    if old is None or new is None:
        return f"only {'the replay' if old is None else 'the run'} has it"
    other = old.keys() ^ new.keys()
    names = [name for name in {**old, **new} if name in other or not _equal(old.get(name), new.get(name))]
    return f"{names[0]} is {new.get(names[0])!r} and was {old.get(names[0])!r}"
