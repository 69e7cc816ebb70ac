"""Evaluation protocols: which targets count, in what unit, over which catalogue, with or without what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rarec.errors import InputError

Targets = Literal["new", "all"]
Seen = Literal["excluded", "kept"]
Unit = Literal["target", "turn"]
Scope = Literal["data-set", "corpus"]


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """What a figure means; its `name` stands beside every figure.

    Attributes:
        targets: `new` leaves out targets that the conversation already names; `all` counts them too, so that
            repeating what was said is rewarded.
        seen: `excluded` removes items that the conversation mentions from every list before it is cut.
        unit: `target` gives one row for each (turn, target), as in CIKM 2023; `turn` one for each turn, with all its
            targets as the relevant set.
        catalogue: what may be ranked: the items of the data set, or the whole corpus that they belong to.
    """

    targets: Targets = "new"
    seen: Seen = "excluded"
    unit: Unit = "target"
    catalogue: Scope = "data-set"

    @property
    def name(self) -> str:
        """The protocol as `parse` reads it: ``new-targets``, ``all-targets``, then what differs from that.

        >>> EvaluationProtocol(unit="turn", catalogue="corpus").name
        'new-targets/corpus/per-turn'
        """
        parts = [f"{self.targets}-targets"]
        if self.catalogue == "corpus":
            parts.append("corpus")
        if self.unit == "turn":
            parts.append("per-turn")
        if self.seen != _usual_seen(self.targets):
            parts.append(f"seen-{self.seen}")
        return "/".join(parts)

    @property
    def sentence(self) -> str:
        """What the name means, for a reader who sees it for the first time."""
        targets = "targets that the conversation does not name yet" if self.targets == "new" else "all targets"
        unit = "one row per (turn, target)" if self.unit == "target" else "one row per turn"
        scope = "the data set's items" if self.catalogue == "data-set" else "the whole corpus"
        seen = "removed from every list" if self.seen == "excluded" else "kept in the lists"
        return f"{targets}; {unit}; the catalogue is {scope}; mentioned items are {seen}"

    @staticmethod
    def parse(name: str) -> EvaluationProtocol:
        """The protocol of a name.

        Raises:
            InputError: a part is unknown or comes twice.
        """
        first, *rest = name.strip().split("/")
        if first not in ("new-targets", "all-targets"):
            raise InputError(f"unknown protocol {name!r}; begin with 'new-targets' or 'all-targets'")
        targets: Targets = "new" if first == "new-targets" else "all"
        if wrong := [part for part in rest if part not in _PARTS or rest.count(part) > 1]:
            raise InputError(f"protocol {name!r}: {wrong[0]!r} is unknown or comes twice; use {', '.join(_PARTS)}")
        if "seen-kept" in rest and "seen-excluded" in rest:
            raise InputError(f"protocol {name!r} both keeps and excludes what was seen; choose one")
        seen: Seen = _usual_seen(targets)
        if "seen-kept" in rest:
            seen = "kept"
        elif "seen-excluded" in rest:
            seen = "excluded"
        return EvaluationProtocol(
            targets,
            seen,
            "turn" if "per-turn" in rest else "target",
            "corpus" if "corpus" in rest else "data-set",
        )


_PARTS = ("corpus", "per-turn", "seen-kept", "seen-excluded")


def _usual_seen(targets: Targets) -> Seen:
    return "excluded" if targets == "new" else "kept"
