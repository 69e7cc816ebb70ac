"""Which turns may decide: none that the new bundle, or one that it was started from, was fitted to or chosen on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarec.align.turns import TokenisedTurn
from rarec.alignment.material import Material
from rarec.alignment.recipe import DataConfig
from rarec.conversations import DATA_SETS
from rarec.errors import InputError
from rarec.promotion.models import Bundle

_TRAINED_ON = ("redial", "inspired")
"""What `rarec train` fits to, always their split ``train``."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """One thing that weights were fitted to.

    Attributes:
        folder: None where the record names none.
        tuning: the split of which some dialogues chose the weights; empty if it is not known.
        chosen_on: these dialogues; None where the record does not list them.
    """

    name: str
    folder: Path | None
    training: str
    tuning: str = ""
    chosen_on: frozenset[str] | None = None

    def is_of(self, data: DataConfig) -> bool:
        """By name; a folder of the own format may go by several."""
        named = all(name in DATA_SETS and name != "jsonl" for name in (self.name, data.name))
        return self.name == data.name or (not named and self.folder is not None and self.folder == data.folder)


def held_out(material: Material, data: DataConfig, new: Bundle) -> tuple[TokenisedTurn, ...]:
    """The turns of ``data.tuning`` that the new bundle has nothing of.

    Args:
        material: of the whole split: all its turns are in `tune` and `report`.
        data: that the material was made of.
    Returns:
        All of them, or, where some chose the weights of the new bundle, those of the other dialogues.
    Raises:
        InputError: the new bundle learned from the split, or none of its turns is left.
    """
    ordered = dict.fromkeys((*material.report, *material.tune))
    turns = tuple(ordered)
    for lesson in _lessons(new.training):
        if not lesson.is_of(data):
            continue
        if lesson.training == data.tuning:
            raise InputError(
                f"the bundle {str(new.folder)!r}, or one that it was started from, learned from the split "
                f"{data.tuning!r} of {data.name!r}; decide on turns that it has not seen: name another split"
            )
        if lesson.tuning == data.tuning:
            chosen = lesson.chosen_on
            if chosen is None:
                # An older bundle does not list them; they are the half that alignment would choose on now.
                chosen = frozenset(turn.turn.dialogue for turn in material.tune)
            turns = tuple(turn for turn in turns if turn.turn.dialogue not in chosen)
    if not turns:
        raise InputError(
            f"the bundle {str(new.folder)!r} was chosen on all dialogues of {data.tuning!r} of {data.name!r}, so none "
            "is left to decide on; name another split"
        )
    return turns


def _lessons(training: Mapping[str, Any]) -> Iterator[_Lesson]:
    """From the manifest's free part, back to the first training; a bundle of an unknown kind gives none."""
    aligned = training.get("aligned")
    if isinstance(aligned, dict) and isinstance(aligned.get("data"), dict):
        data, chosen = aligned["data"], training.get("chosen_on")
        yield _Lesson(
            name=str(data.get("name", "")),
            folder=Path(str(data["folder"])) if data.get("folder") else None,
            training=str(data.get("training", "train")),
            tuning=str(data.get("tuning", "valid")),
            chosen_on=frozenset(map(str, chosen)) if isinstance(chosen, list) else None,
        )
    elif "recipe" in training:
        yield from (_Lesson(name, None, "train") for name in _TRAINED_ON)
    before = training.get("started_from")
    if isinstance(before, dict):
        yield from _lessons(before)
