"""Which figures a run has: those after a judge, or those that people's feedback gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def figure_names(found: Mapping[str, Any]) -> list[str]:
    """The figures before and after in one seed's part of figures.json, in its order."""
    return [name for name, part in found.items() if isinstance(part, Mapping) and "before" in part]


def figure_rows(found: Mapping[str, Any]) -> str:
    """The rows of a Markdown table with the columns figure, before, after, gain."""
    return "\n".join(
        f"| {name} | {part['before']:.4f} | {part['after']:.4f} | [{part['low']:+.4f}, {part['high']:+.4f}] |"
        for name in figure_names(found)
        for part in (found[name],)
    )
