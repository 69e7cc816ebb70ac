"""Which turns may decide: none that the new bundle, or one that it was started from, was fitted to or chosen on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarec.align.turns import TokenisedTurn
from rarec.alignment.material import Material, halves
from rarec.alignment.recipe import DataConfig
from rarec.conversations import DATA_SETS
from rarec.errors import InputError
from rarec.promotion.models import Bundle

_TRAINED_ON = ("redial", "inspired")
"""What `rarec train` fits to where its recipe names no data of its own; always the split ``train``."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """One thing that weights were fitted to.

    Attributes:
        folder: None where the record names none.
        training: the split that was learned from; empty where events of people taught.
        tuning: the split of which some dialogues chose the weights; empty if it is not known.
        chosen_on: these dialogues; None where the record does not list them.
        report: the split that figures were measured on; empty where it was the other half of `tuning`.
        people: dialogues of people that taught or chose, which may be of any split.
    """

    name: str
    folder: Path | None
    training: str
    tuning: str = ""
    chosen_on: frozenset[str] | None = None
    report: str = ""
    people: frozenset[str] = frozenset()

    def is_of(self, data: DataConfig) -> bool:
        """By name; a folder of the own format may go by several."""
        named = all(name in DATA_SETS and name != "jsonl" for name in (self.name, data.name))
        return self.name == data.name or (not named and self.folder is not None and self.folder == data.folder)


def held_out(material: Material, data: DataConfig, new: Bundle) -> tuple[TokenisedTurn, ...]:
    """The turns of ``data.tuning`` that the new bundle has nothing of.

    Args:
        material: of the whole split: all its turns are in `tune` and `report`, or in `tune` alone where the figures of
            alignment have a split of their own, which does not decide.
        data: that the material was made of.
    Returns:
        All of them, or, where some chose the weights of the new bundle or people of some taught it, those of the other
        dialogues.
    Raises:
        InputError: the new bundle learned from the split, or none of its turns is left.
    """
    whole = material.tune if data.report else tuple(dict.fromkeys((*material.report, *material.tune)))
    turns = whole
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
                # An older bundle does not list them; they are the half that alignment would choose on now, or all.
                chosen = frozenset(turn.turn.dialogue for turn in (whole if lesson.report else halves(whole)[0]))
            turns = tuple(turn for turn in turns if turn.turn.dialogue not in chosen)
        turns = tuple(turn for turn in turns if turn.turn.dialogue not in lesson.people)
    if not turns:
        raise InputError(
            f"the bundle {str(new.folder)!r} learned from or was chosen on all dialogues of {data.tuning!r} of "
            f"{data.name!r}, so none is left to decide on; name another split"
        )
    return turns


def _lessons(training: Mapping[str, Any]) -> Iterator[_Lesson]:
    """From the manifest's free part, back to the first training; a bundle of an unknown kind gives none."""
    aligned = training.get("aligned")
    if isinstance(aligned, dict) and isinstance(aligned.get("data"), dict):
        data, chosen = aligned["data"], _names(training, "chosen_on")
        name, folder = str(data.get("name", "")), Path(str(data["folder"])) if data.get("folder") else None
        learned_from = _names(training, "learned_from")
        if learned_from is None:
            splits = (str(data.get("training", "train")), str(data.get("tuning", "valid")))
            yield _Lesson(name, folder, *splits, chosen_on=chosen, report=str(data.get("report") or ""))
        else:
            yield _Lesson(name, folder, training="", people=learned_from | (chosen or frozenset()))
    elif "recipe" in training:
        own = training.get("data")
        names = (str(own.get("name", "")),) if isinstance(own, dict) else _TRAINED_ON
        yield from (_Lesson(name, None, "train") for name in names)
    before = training.get("started_from")
    if isinstance(before, dict):
        yield from _lessons(before)


def _names(training: Mapping[str, Any], key: str) -> frozenset[str] | None:
    """None where the record has no such list."""
    found = training.get(key)
    return frozenset(map(str, found)) if isinstance(found, list) else None
