"""What may be said of a run, in sentences: never more than the interval shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rarec.alignment.comparing import FEW, Comparison
from rarec.alignment.figures import AGREEMENT, Figure
from rarec.pages.wording import number, quantity, signed, signed_span


def verdict(figure: Figure, found: Comparison) -> str:
    """One figure before and after, its interval, and what that shows."""
    head = figure.head
    return (
        f"{head[0].upper()}{head[1:]}: {number(found.before)} before, {number(found.after)} after, "
        f"{signed(found.gain)} {signed_span(found.low, found.high)} on {counts(found.turns, found.dialogues)}. "
        f"{_shown(figure, found)}"
    )


def counts(turns: int, dialogues: int) -> str:
    """``400 turns of 120 dialogues``."""
    return f"{_plural(turns, 'turn')} of {_plural(dialogues, 'dialogue')}"


def chosen_weights(figures: Mapping[str, Any]) -> str:
    """``weights of iteration 38 (best on tuning turns; 40 run)``; `figures` are a seed's part of figures.json."""
    best, done = figures["best"], figures["iterations"]
    which = f"weights of iteration {quantity(best)}" if best else "the weights that were started from"
    return f"{which} (best on tuning turns; {quantity(done)} run)"


def cautions(seeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to know before a figure is believed; `seeds` are those of figures.json."""
    said: list[str] = []
    if not all(figures.get("held out", True) for figures in seeds):
        said.append(
            "The turns that are measured on chose the weights too, so that figures after alignment are too high."
        )
    if any(AGREEMENT in figures for figures in seeds):
        said.append(
            "Another policy chose what people were shown. What it never showed nobody could like: figures favour it."
        )
    if len(seeds) == 1:
        said.append("One seed: how much of a gain is the seed's cannot be told.")
    if unchanged := sum(figures["best"] == 0 for figures in seeds):
        which = "No validation" if len(seeds) == 1 else f"Of {unchanged} of {len(seeds)} seeds no validation"
        said.append(f"{which} was better than that of the weights that were started from, so these were kept.")
    return said


def _shown(figure: Figure, found: Comparison) -> str:
    if shown := found.shows(figure):
        return f"The interval lies {'above' if found.low > 0 else 'below'} zero: a {shown} on turns like these."
    if found.dialogues < FEW:
        return f"Fewer than {FEW} dialogues show nothing."
    return "The interval holds zero: neither a gain nor a loss is shown."


def _plural(count: int, noun: str) -> str:
    return f"{quantity(count)} {noun}{'' if count == 1 else 's'}"
