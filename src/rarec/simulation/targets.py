"""Which items the simulated seekers look for, and how soon no recommender at all would find them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from rarec.errors import InputError
from rarec.simulation.profile import AspectCounts
from rarec.types import Item, ItemId

Drawing = Literal["uniform", "popular"]

BANDS = ("top tenth", "next four tenths", "lower half")
"""Of the catalogue, by popularity."""

_EDGES = (0.1, 0.5)


@dataclass(frozen=True, slots=True)
class Target:
    """What one dialogue is about.

    Attributes:
        id: names the dialogue; unique in a run.
        item: what the seeker looks for.
        likes: items that it liked before and says so; they are not recommended.
        cluster: dialogues with the same cluster are drawn together by the bootstrap.
    """

    id: str
    item: ItemId
    likes: tuple[ItemId, ...] = ()
    cluster: str = ""


class Turnful(Protocol):
    """The part of `rarec.conversations.Example` that makes targets."""

    @property
    def id(self) -> str: ...
    @property
    def dialogue(self) -> str: ...
    @property
    def repeated(self) -> frozenset[ItemId]: ...
    @property
    def context_items(self) -> tuple[ItemId, ...]: ...
    @property
    def targets(self) -> tuple[ItemId, ...]: ...


class World:
    """A catalogue as a simulation needs it.

    Args:
        items: of the catalogue, in its order.
        without: attributes that seekers never speak of, such as numbers of a stock list.
    """

    def __init__(self, items: Iterable[Item], *, without: Collection[str] = ()) -> None:
        self.items = {item.id: item for item in items}
        self.counts = AspectCounts(list(self.items.values()), without=without)
        order = sorted(self.items.values(), key=lambda item: -item.popularity)  # stable: ties in the catalogue's order
        self._place = {item.id: place for place, item in enumerate(order)}
        self._popularities = np.array([-item.popularity for item in order])

    def band(self, item: ItemId) -> str:
        """The popularity band of an item; items of one popularity share one."""
        above = np.searchsorted(self._popularities, -self.items[item].popularity, side="left")
        return BANDS[int(np.searchsorted(_EDGES, above / len(self.items), side="right"))]

    def popularity_rank(self, target: Target) -> int:
        """1-based rank of the target by popularity, without the likes."""
        place = self._place[target.item]
        return 1 + place - sum(self._place[like] < place for like in set(target.likes))

    def random_rank(self, target: Target, *, seed: int) -> int:
        """1-based rank of the target in a random order without the likes."""
        return int(generator_of(seed, target.id, "random").integers(len(self.items) - len(set(target.likes)))) + 1

    def check(self, targets: Sequence[Target]) -> None:
        """Refuse targets that cannot be.

        Raises:
            InputError: there are none, an item is unknown, an id comes twice, or a target is among its own likes.
        """
        seen: set[str] = set()
        for target in targets:
            for item in (target.item, *target.likes):
                if item not in self.items:
                    raise InputError(f"dialogue {target.id!r} names the item {item!r}, which is not in the catalogue")
            if target.id in seen:
                raise InputError(f"two dialogues have the id {target.id!r}; give each its own")
            if target.item in target.likes:
                raise InputError(f"dialogue {target.id!r} looks for {target.item!r} and likes it already; drop one")
            seen.add(target.id)
        if not targets:
            raise InputError("there are no targets to simulate; draw at least one")


def draw_targets(world: World, count: int, *, by: Drawing = "uniform", seed: int = 0) -> tuple[Target, ...]:
    """Different items of a catalogue, without likes.

    Args:
        count: how many, 1 to the items that can be drawn.
        by: every item alike, or in proportion to popularity (items without popularity are never drawn then).
    Raises:
        InputError: `count` is out of range, or `by` is unknown.
    """
    items = list(world.items.values())
    if by not in ("uniform", "popular"):
        raise InputError(f"targets can be drawn 'uniform' or 'popular', not {by!r}")
    weights = np.array([item.popularity if by == "popular" else 1.0 for item in items], np.float64)
    possible = int(np.count_nonzero(weights))
    if not 1 <= count <= possible:
        hint = "" if by == "uniform" else "; with 'uniform', items without popularity can be drawn too"
        raise InputError(f"cannot draw {count!r} different targets out of {possible} items{hint}")
    generator = generator_of(seed, "targets", by)
    chosen = generator.choice(len(items), size=count, replace=False, p=weights / weights.sum())
    return tuple(Target(f"d{number}", items[at].id, cluster=f"d{number}") for number, at in enumerate(chosen))


def targets_of_examples(examples: Iterable[Turnful], world: World) -> tuple[Target, ...]:
    """A dialogue for each new target of recorded examples, with the items named before as likes.

    What the catalogue does not have is left out, targets and likes alike; the bootstrap draws recorded dialogues.
    """
    return tuple(
        Target(
            f"{example.id}/{number}",
            item,
            tuple(i for i in example.context_items if i in world.items and i != item),
            cluster=example.dialogue,
        )
        for example in examples
        for number, item in enumerate(example.targets)
        if item in world.items and item not in example.repeated
    )


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """Randomness that belongs to a seed and a name, whatever else is drawn."""
    digest = hashlib.sha256("/".join((str(seed), *names)).encode("utf-8", "backslashreplace")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
