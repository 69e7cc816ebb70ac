"""Simulated language models: frozen black boxes with hidden tastes, to learn from and to test with."""

from rarec.testing.judges.faults import MALFORMED, Draft, Faults
from rarec.testing.judges.llm import SimulatedLLM
from rarec.testing.judges.memory import Memory
from rarec.testing.judges.parts import (
    Affinity,
    Asked,
    Era,
    Favourites,
    Judged,
    Part,
    People,
    Popularity,
    Shared,
    Words,
)
from rarec.testing.judges.presets import (
    PRESETS,
    World,
    connoisseur,
    era_lover,
    forgetful,
    genre_expert,
    popularity_averse,
    sloppy,
)
from rarec.testing.judges.reading import Reading
from rarec.testing.judges.taste import Taste

__all__ = [
    "MALFORMED",
    "PRESETS",
    "Affinity",
    "Asked",
    "Draft",
    "Era",
    "Faults",
    "Favourites",
    "Judged",
    "Memory",
    "Part",
    "People",
    "Popularity",
    "Reading",
    "Shared",
    "SimulatedLLM",
    "Taste",
    "Words",
    "World",
    "connoisseur",
    "era_lover",
    "forgetful",
    "genre_expert",
    "popularity_averse",
    "sloppy",
]
