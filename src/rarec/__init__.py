"""Conversational recommendation over your own catalogue, with any LLM.

Names are loaded when they are first used, so that importing rarec costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rarec.catalogue.starter import starter_items
    from rarec.catalogue.store import CatalogueStore
    from rarec.embed.protocol import Embedder
    from rarec.errors import RarecError
    from rarec.llm.http import HttpLLM
    from rarec.llm.protocol import LLM
    from rarec.pipeline import Recommender
    from rarec.settings import Settings
    from rarec.types import Conversation, Filters, Item, ItemId, Mention, RankedItem, Recommendation, Turn

__version__ = "0.1.0"

__all__ = [
    "LLM",
    "CatalogueStore",
    "Conversation",
    "Embedder",
    "Filters",
    "HttpLLM",
    "Item",
    "ItemId",
    "Mention",
    "RankedItem",
    "RarecError",
    "Recommendation",
    "Recommender",
    "Settings",
    "Turn",
    "__version__",
    "starter_items",
]

_HOMES = {
    "CatalogueStore": "rarec.catalogue.store",
    "Embedder": "rarec.embed.protocol",
    "HttpLLM": "rarec.llm.http",
    "LLM": "rarec.llm.protocol",
    "RarecError": "rarec.errors",
    "Recommender": "rarec.pipeline",
    "Settings": "rarec.settings",
    "starter_items": "rarec.catalogue.starter",
    **dict.fromkeys(
        ("Conversation", "Filters", "Item", "ItemId", "Mention", "RankedItem", "Recommendation", "Turn"), "rarec.types"
    ),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rarec' has no attribute {name!r}")
    try:
        value = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "rarec"):
            raise
        from rarec.errors import MissingExtra

        raise MissingExtra.of(package, "serve", f"rarec.{name}") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
