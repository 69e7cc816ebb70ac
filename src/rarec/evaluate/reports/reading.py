"""What a report reads out of a block: which systems to compare with and to colour, and what may be said of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rarec.errors import InputError
from rarec.evaluate.reports.wording import level_text, number
from rarec.evaluate.results import Block, Figure, Pair, Results, SystemResult

UNKNOWN = Figure(value=None)
COLOURED = 6


def figure_of(system: SystemResult, measure: str) -> Figure:
    return system.figures.get(measure, UNKNOWN)


def pair_of(block: Block, a: str, b: str, measure: str | None = None) -> Pair | None:
    """The difference a - b; None where the two were not compared."""
    try:
        return block.pair(a, b, measure)
    except InputError:
        return None


def reference_of(block: Block, wanted: str | None = None) -> str | None:
    """The system that the others are compared with.

    `wanted` if the block has it; else the last system of a language model or of a recording (one whose lists are not
    known) that is no lower bound; else the first. None where fewer than two systems were compared.
    """
    compared = {name for pair in block.pairs if pair.measure == block.headline for name in (pair.a, pair.b)}
    systems = [system for system in block.systems if system.system in compared]
    if wanted is not None and any(system.system == wanted for system in systems):
        return wanted
    lists_known = any(_lists_known(system) for system in systems)
    recorded = [s for s in systems if not s.lower_bound and (s.generation or lists_known > _lists_known(s))]
    chosen = recorded[-1:] or systems[:1]
    return chosen[0].system if chosen else None


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
    return all(pair is not None and pair.low > 0 for pair in pairs)


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


def group_sentence(block: Block) -> str:
    return (
        f"Systems that share a letter do not separate on {block.headline}"
        f" (paired bootstrap by dialogue, {level_text(block.level)}, not corrected for the number of pairs)."
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


def _notes(system: SystemResult) -> list[str]:
    found = []
    if system.lower_bound:
        found.append(LOWER_BOUND_NOTE)
    if system.seeds > 1:
        found.append(f"Average of {system.seeds} runs; ± is the standard deviation between them.")
    if system.note.strip():
        found.append(system.note)
    if any(figure.value is None for figure in system.figures.values()):
        found.append(f"{DEPTH_NOTE} {system.depth}: figures beyond that cannot be told.")
    return found


DEPTH_NOTE = "Known down to rank"
LOWER_BOUND_NOTE = (
    "≥: every figure is a lower bound, and so is its interval; that it stands below another system shows nothing."
)
