"""Judges to learn from: each understands the conversation somewhat and has a leaning that the data do not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.testing.judges.faults import Faults
from rarec.testing.judges.llm import SimulatedLLM
from rarec.testing.judges.memory import Memory
from rarec.testing.judges.parts import Affinity, Asked, Era, Favourites, Part, People, Popularity, Shared, Words
from rarec.testing.judges.taste import Taste, uniform
from rarec.types import Item

_FAVOURITES = 3


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A catalogue as the presets need it; made by `of`.

    Attributes:
        items: of the catalogue, at least one.
        kinds: attributes that say what sort of thing an item is, e.g. genres; the first has the hidden favourites.
        people: attributes that say who made it.
        vectors: embeddings of the items, or None; see `Memory.of`.
        memory: of all items.
    """

    items: tuple[Item, ...]
    kinds: tuple[str, ...]
    people: tuple[str, ...]
    vectors: NDArray[np.float32] | None
    memory: Memory

    @staticmethod
    def of(
        items: Sequence[Item],
        *,
        kinds: Sequence[str],
        people: Sequence[str],
        vectors: NDArray[np.float32] | None = None,
    ) -> World:
        """The world of a catalogue.

        Raises:
            InputError: no items, no kinds or no people; or as `Memory.of`.
        """
        if not items or not kinds or not people:
            raise InputError(
                "a world needs items, and the names of attributes for kinds and people; "
                f"got {len(items)} items, kinds {kinds!r}, people {people!r}"
            )
        return World(tuple(items), tuple(kinds), tuple(people), vectors, Memory.of(items, vectors=vectors))

    def newest(self, share: float) -> int:
        """The last year before the newest items: about that share of those with a year come after it.

        Raises:
            InputError: no item has a year.
        """
        years = sorted(item.year for item in self.items if item.year is not None)
        if not years:
            raise InputError("no item has a year, so none is newer than others; choose another judge")
        return years[min(len(years) - 1, int(len(years) * (1 - share)))]

    def favourites(self, seed: int) -> frozenset[str]:
        """Three common values of the first kind, drawn by the seed; fewer where there are no three."""
        counts = Counter(value for item in self.items for value in item.attributes.get(self.kinds[0], ()))
        common = sorted(value for value, count in counts.items() if count * 20 >= len(self.items))
        return frozenset(sorted(common, key=lambda value: uniform("favourite", seed, value))[:_FAVOURITES])


def era_lover(world: World, *, seed: int = 0, latency_s: float = 0.0) -> SimulatedLLM:
    """Understands, and wants the years of what was mentioned."""
    parts = (*_understanding(1.0), Era(3.0, width=6.0))
    return SimulatedLLM(Taste(parts, whim=0.3), world.memory, seed=seed, latency_s=latency_s, name="era-lover")


def genre_expert(world: World, *, seed: int = 0, latency_s: float = 0.0) -> SimulatedLLM:
    """Goes by the kinds of thing, shared with what was mentioned, and has favourites among them."""
    favourites = Favourites(world.kinds[0], world.favourites(seed), 0.7)
    parts = (*_understanding(0.4), Shared(3.0, world.kinds), favourites)
    return SimulatedLLM(Taste(parts, whim=0.3), world.memory, seed=seed, latency_s=latency_s, name="genre-expert")


def connoisseur(world: World, *, seed: int = 0, latency_s: float = 0.0) -> SimulatedLLM:
    """Follows the people who made what was mentioned, likes the older half, and looks down a little on the popular."""
    old = (-3000, world.newest(0.5))
    parts = (*_understanding(0.7), People(world.people, 1.5), Era(0.7, years=old, width=5.0), Popularity(-0.7))
    return SimulatedLLM(Taste(parts, whim=0.3), world.memory, seed=seed, latency_s=latency_s, name="connoisseur")


def popularity_averse(world: World, *, seed: int = 0, latency_s: float = 0.0) -> SimulatedLLM:
    """Understands, but would rather name what few people know."""
    parts = (*_understanding(1.0), Popularity(-2.0))
    return SimulatedLLM(Taste(parts, whim=0.3), world.memory, seed=seed, latency_s=latency_s, name="popularity-averse")


def forgetful(world: World, *, seed: int = 0, latency_s: float = 0.0) -> SimulatedLLM:
    """Understands older items well; of the newest third it knows only the attributes in the prompt, and guesses."""
    memory = Memory.of(world.items, vectors=world.vectors, until=world.newest(1 / 3))
    taste = Taste((*_understanding(1.2), Shared(1.0, world.kinds), Popularity(0.7)), whim=0.2, guess=0.8)
    return SimulatedLLM(taste, memory, seed=seed, latency_s=latency_s, name="forgetful")


def sloppy(world: World, *, seed: int = 0, latency_s: float = 0.0) -> SimulatedLLM:
    """Understands, but likes what stands first, answers differently each time, and often not in the form asked for."""
    taste = Taste((*_understanding(1.0), Shared(1.0, world.kinds)), noise=0.5, position_bias=1.5)
    faults = Faults(truncated=0.02, malformed=0.10, refused=0.02, timeout=0.01)
    return SimulatedLLM(taste, world.memory, faults=faults, seed=seed, latency_s=latency_s, name="sloppy")


def _understanding(strength: float) -> tuple[Part, ...]:
    """What all presets have in common, more or less of it."""
    return Affinity(0.8 * strength), Words(0.8 * strength), Asked(1.5 * strength)


PRESETS: Mapping[str, Callable[..., SimulatedLLM]] = {
    "era-lover": era_lover,
    "genre-expert": genre_expert,
    "connoisseur": connoisseur,
    "popularity-averse": popularity_averse,
    "forgetful": forgetful,
    "sloppy": sloppy,
}
"""The judge's name -> the function that makes it, called with a `World` and the keywords `seed` and `latency_s`."""
