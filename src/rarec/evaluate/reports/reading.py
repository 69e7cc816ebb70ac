"""What a report reads out of a block: which systems to compare with and to colour, and what may be said of them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rarec.errors import InputError
from rarec.evaluate.results import Block, Figure, Pair, Results, SystemResult
from rarec.pages.wording import clean, level_text, number

UNKNOWN = Figure(value=None)
COLOURED = 6
FEW = 10
"""Bands of fewer rows say little; they are drawn apart."""


def figure_of(system: SystemResult, measure: str) -> Figure:
    return system.figures.get(measure, UNKNOWN)


def pair_of(block: Block, a: str, b: str, measure: str | None = None) -> Pair | None:
    """The difference a - b; None where the two were not compared."""
    try:
        return block.pair(a, b, measure)
    except InputError:
        return None


@dataclass(frozen=True, slots=True)
class Reference:
    """The system that the others of a block are compared with, and why it is this one, as the end of a sentence."""

    system: str
    why: str


def reference_of(block: Block, wanted: str | None = None) -> str | None:
    """The name alone of `chosen_reference`."""
    found = chosen_reference(block, wanted)
    return None if found is None else found.system


def chosen_reference(block: Block, wanted: str | None = None) -> Reference | None:
    """The system that the others are compared with.

    `wanted` if the block has it; else the one that was compared on all measures with every other; else the last system
    of a language model or of a recording (one whose lists are not known) that is no lower bound, made of no others, and
    answered at least once; else popularity; else the first. None where fewer than two systems were compared.
    """
    compared = {name for pair in block.pairs if pair.measure == block.headline for name in (pair.a, pair.b)}
    systems = [system for system in block.systems if system.system in compared]
    if wanted is not None and wanted in compared:
        return Reference(wanted, "which the run names")
    if (asked := _compared_on_all(block)) is not None:
        return Reference(asked, "which the run compared with every other on all measures")
    missing = "the run names none" if wanted is None else f"{wanted}, which the run names, is not in this table"
    lists_known = any(_lists_known(system) for system in systems)
    models = [s for s in systems if (s.generation or lists_known > _lists_known(s)) and _answers_itself(s)]
    popular = [system for system in systems if system.system.lower().startswith("popularity")]
    for chosen, why in (
        (models[-1:], "the last row of a language model or a recording"),
        (popular, "because no row of a language model or a recording is fit for it"),
        (systems, "the first row"),
    ):
        if chosen:
            return Reference(chosen[0].system, f"{why} ({missing})")
    return None


_COMBINED = re.compile(r"(?:^|; )(?:interleaved: |reciprocal rank, c = |an oracle, not a system: )")
"""How the notes of fusions and oracles begin; see `rarec.evaluate.fusion`."""


def _answers_itself(system: SystemResult) -> bool:
    silent = system.generation is not None and system.generation.degraded >= 1
    return not (silent or system.lower_bound or _COMBINED.search(system.note))


def _compared_on_all(block: Block) -> str | None:
    """The system that the run named for comparison: the only one in all pairs beyond the headline measure."""
    pairs = [{pair.a, pair.b} for pair in block.pairs if pair.measure != block.headline]
    common = set[str].intersection(*pairs) if pairs else set[str]()
    return common.pop() if len(common) == 1 else None


def _lists_known(system: SystemResult) -> bool:
    return any(value is not None for value in system.beyond.values())


def compared_with(block: Block, reference: str | None) -> list[Pair]:
    """system - reference on the headline measure, in the block's order; empty without a reference."""
    if reference is None:
        return []
    others = (system.system for system in block.systems if system.system != reference)
    return [pair for other in others if (pair := pair_of(block, other, reference)) is not None]


def coloured_systems(results: Results, references: Sequence[str | None]) -> list[str]:
    """At most six names to colour in the plots, in their order: the references, then the highest headline figures.

    A system's place among the highest is its average over the blocks, as a share of each block's highest figure.
    """
    order: dict[str, None] = {}
    shares: dict[str, list[float]] = {}
    for block in results.blocks:
        values = {s.system: figure_of(s, block.headline).value or 0.0 for s in block.systems}
        highest = max(values.values(), default=0.0) or 1.0
        for name, value in values.items():
            order[name] = None
            shares.setdefault(name, []).append(value / highest)
    first = [name for name in order if name in references]
    rest = sorted((name for name in order if name not in references), key=lambda name: -statistics.fmean(shares[name]))
    chosen = set((first + rest)[:COLOURED])
    return [name for name in order if name in chosen]


def bound_sign(block: Block, pair: Pair) -> str:
    """What a difference a - b is where one of the two is only known from below: ``≥ ``, ``≤ ``, else nothing.

    Where both are, the difference may lie on either side; ``? `` says so.
    """
    low_a, low_b = (block.system(name).lower_bound for name in (pair.a, pair.b))
    return {(True, False): "≥ ", (False, True): "≤ ", (True, True): "? "}.get((low_a, low_b), "")


def shows(block: Block, pair: Pair) -> bool:
    """Whether the difference separates, whatever a lower bound hides."""
    sign = bound_sign(block, pair)
    return pair.separates and not (
        sign == "? " or (sign == "≥ " and pair.delta < 0) or (sign == "≤ " and pair.delta > 0)
    )


def leads(block: Block, system: SystemResult, measure: str) -> bool:
    """Whether the system is above every other one on this measure, and every one of these differences separates.

    False where one of them was not compared, and where another's figure is only a lower bound.
    """
    others = [other for other in block.systems if other.system != system.system]
    if not others or any(other.lower_bound for other in others):
        return False
    pairs = (pair_of(block, system.system, other.system, measure) for other in others)
    return all(pair is not None and pair.separates and pair.delta > 0 for pair in pairs)


@dataclass(frozen=True, slots=True)
class Detectable:
    """The minimum detectable differences of a block's pairs on the headline measure."""

    median: float
    lowest: float
    highest: float
    pairs: int


def detectable(block: Block) -> Detectable | None:
    """None where nothing was compared."""
    found = [pair.minimum_detectable for pair in block.pairs if pair.measure == block.headline]
    if not found:
        return None
    return Detectable(statistics.median(found), min(found), max(found), len(found))


def detectable_sentence(block: Block) -> str:
    """What differences this many rows would show; empty where nothing was compared."""
    known = detectable(block)
    if known is None:
        return ""
    spread = f" (median of {known.pairs} pairs; {number(known.lowest)} to {number(known.highest)})"
    return (
        f"Minimum detectable difference in {block.headline}: {number(known.median)}{spread if known.pairs > 1 else ''},"
        f" seen four times in five at the {level_text(block.level)} level."
    )


MOST_LETTERS = 6
"""Beyond so many for one system they cannot be read, and the number of systems stands in their place."""


@dataclass(frozen=True, slots=True)
class GroupColumn:
    """Which systems do not separate: head, a cell for each system in the block's order, and what they mean."""

    head: str
    cells: tuple[str, ...]
    letters: bool
    sentence: str


def group_column(block: Block, *, aligned: bool = False) -> GroupColumn | None:
    """The letters of each system, or with how many it shares one where they are too many; None where there are none.

    Args:
        aligned: with spaces, so that equal letters, and equal digits, stand below one another.
    """
    groups = [system.group for system in block.systems]
    if not any(groups):
        return None
    how = f"paired bootstrap by dialogue, {level_text(block.level)}, not corrected for the number of pairs"
    if max(map(len, groups)) <= MOST_LETTERS:
        sentence = f"Systems that share a letter do not separate on {block.headline} ({how})."
        return GroupColumn("group", tuple(_aligned(groups) if aligned else groups), True, sentence)
    sentence = f"level with: how many of the other systems it does not separate from on {block.headline} ({how})."
    return GroupColumn("level with", tuple(_level_with(groups, aligned=aligned)), False, sentence)


def _level_with(groups: Sequence[str], *, aligned: bool) -> Iterator[str]:
    sets = [set(group) for group in groups]
    others = sum(map(bool, sets)) - 1
    width = len(str(others)) if aligned else 0
    for own in sets:
        # Every one shares its letters with itself.
        yield f"{sum(not own.isdisjoint(other) for other in sets) - 1:>{width}} of {others}" if own else ""


def _aligned(groups: Sequence[str]) -> list[str]:
    """Equal letters below one another; as they are where the alphabet is too short."""
    letters = sorted(set("".join(groups)))
    if any("".join(sorted(set(group))) != group for group in groups):
        return list(groups)
    return ["".join(letter if letter in group else " " for letter in letters) for group in groups]


def cutoff_sentence(block: Block) -> str:
    """Which measures look at the whole catalogue; empty where none does."""
    whole = [m for m in block.measures if (k := m.rpartition("@")[2]).isdecimal() and int(k) >= block.catalogue > 0]
    if not whole:
        return ""
    return (
        f"{', '.join(whole)}: the cut-off reaches the whole catalogue of {block.catalogue:,} items, so a full ranking "
        "misses nothing there."
    )


def counts_sentence(block: Block) -> str:
    """The numbers that every figure of the block stands on."""
    unmapped = f"; {block.unmapped:,} ground truths that are no item count in no row" if block.unmapped else ""
    return (
        f"n = {block.rows:,} rows from {block.examples:,} turns of {block.dialogues:,} dialogues;"
        f" catalogue of {block.catalogue:,} items{unmapped}"
    )


def notes_of(block: Block) -> tuple[list[str], Mapping[str, list[int]]]:
    """The footnotes in the order of the rows, each once, and for each system the numbers (from 1) of its own."""
    texts: list[str] = []
    marks: dict[str, list[int]] = {}
    for system in block.systems:
        for text in _notes(system):
            if text not in texts:
                texts.append(text)
            marks.setdefault(system.system, []).append(texts.index(text) + 1)
    return texts, marks


def trouble(system: SystemResult) -> str:
    """What went wrong with the calls of a language model so that the row is not its own; empty if nothing did."""
    made = system.generation
    if made is None or not made.calls:
        return ""
    silent = round(made.degraded * made.calls)
    if silent:
        return (
            f"no answer for {silent:,} of {made.calls:,} calls; their lists are those of the system behind it, "
            "or empty where there is none"
        )
    if round(made.repaired * made.calls) == made.calls:
        return f"each of its {made.calls:,} answers was repaired: no list is exactly what the model wrote"
    return ""


def shown_name(system: SystemResult) -> str:
    """Its name, with a mark if `trouble` has something to say."""
    return f"{clean(system.system)} {DAGGER}" if trouble(system) else clean(system.system)


def _notes(system: SystemResult) -> list[str]:
    found = []
    if system.lower_bound:
        found.append(LOWER_BOUND_NOTE)
    if system.seeds > 1:
        found.append(f"Average of {system.seeds} runs; ± is the standard deviation between them.")
    if system.note.strip():
        found.append(system.note)
    if (said := trouble(system)) != "":
        found.append(f"{DAGGER} {said}")
    if any(figure.value is None for figure in system.figures.values()):
        found.append(f"{DEPTH_NOTE} {system.depth}: figures beyond that cannot be told.")
    return found


DEPTH_NOTE = "Known down to rank"
LOWER_BOUND_NOTE = (
    "≥: every figure is a lower bound, and so is its interval; that it stands below another system shows nothing."
)
DAGGER = "†"
UNGROUNDED_NOTE = "ungrounded: entries that are no item of this catalogue; real things outside the catalogue count too."
