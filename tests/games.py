"""Recipes of alignment on the invented board games, as several tests of it write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rarec.alignment.recipe import AlignRecipe, parse_align_recipe
from rarec.testing.second_domain import KINDS, PEOPLE

ERA_LOVER = {"kind": "simulated", "preset": "era-lover", "kinds": list(KINDS), "people": list(PEOPLE)}


def games_recipe(folder: Path, usual: Mapping[str, Any], more: Mapping[str, Any]) -> AlignRecipe:
    """The usual recipe of a test file on the games in ``folder/data``, with more.

    Tables of `more` are laid over the usual ones key by key; one that is empty, or has a kind or a name, takes their
    place.
    """
    values: dict[str, Any] = {"data": {"name": "games", "folder": str(folder / "data")}}
    for tables in (usual, more):
        for name, table in tables.items():
            under = values.get(name)
            own = not isinstance(table, dict) or not table or {"kind", "name"} & table.keys()
            values[name] = table if own or not isinstance(under, dict) else {**under, **table}
    return parse_align_recipe(values, source="test")
