"""Several records of one thing -> one item, and which record each part of it is from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rarec.catalogue.titles import normal_title
from rarec.corpus.record import Record
from rarec.types import Item, ItemId

ATTRIBUTES = "attributes."
OTHER_TITLES = "aka"
"""The attribute under which an item keeps the titles that it is also known by; the linker reads it."""

_MOST_OTHER_TITLES = 8


@dataclass(frozen=True, slots=True)
class FieldOrder:
    """Where a field comes from.

    Attributes:
        sources: the first that says something wins; those that are not named come behind them, in the recipe's order.
        combine: ``all`` takes the values of all records of an attribute, each once; ``first`` those of one.
        max: at most so many values; None takes all.
    """

    sources: tuple[str, ...] = ()
    combine: Literal["first", "all"] = "first"
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """An item made of records.

    Attributes:
        origin: field -> places of the records, in the list that was given, that it was taken from; ``attributes.NAME``
            for attributes.
    """

    item: Item
    origin: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])


class Merger:
    """Makes items by an order of sources for each field.

    Args:
        sources: of the corpus, in the recipe's order.
        fields: ``title``, ``year``, ``text`` or ``attributes.NAME`` -> where it comes from; others come from the first
            source that has them.
    """

    def __init__(self, sources: Sequence[str], fields: Mapping[str, FieldOrder] | None = None) -> None:
        self._sources = tuple(sources)
        self._fields = dict(fields or {})
        self._ranks: dict[str, dict[str, int]] = {}

    def merge(self, item_id: ItemId, popularity: float, records: Sequence[Record]) -> Merged | None:
        """One item of the records of a group, which are in the order of sources and keys; None if none has a title.

        Merging what was merged changes nothing: an item's record alone gives the item again.
        """
        titled = self._first("title", records, lambda record: record.titles)
        if titled is None:
            return None
        title = records[titled].titles[0]
        origin: dict[str, tuple[int, ...]] = {"title": (titled,)}
        dated = self._first("year", records, lambda record: record.year is not None)
        written = self._first("text", records, lambda record: record.text)
        for name, found in (("year", dated), ("text", written)):
            if found is not None:
                origin[name] = (found,)
        attributes: dict[str, tuple[str, ...]] = {}
        for name in dict.fromkeys(name for record in records for name in record.attributes):
            values, places = self._attribute(name, records)
            if values:
                attributes[name] = values
                origin[ATTRIBUTES + name] = places
        if OTHER_TITLES not in attributes:
            values, places = self._other_titles(title, records)
            if values:
                attributes[OTHER_TITLES] = values
                origin[ATTRIBUTES + OTHER_TITLES] = places
        item = Item(
            id=item_id,
            title=title,
            text="" if written is None else records[written].text,
            year=None if dated is None else records[dated].year,
            attributes=attributes,
            popularity=popularity,
        )
        return Merged(item, origin)

    def _order(self, name: str, records: Sequence[Record]) -> list[int]:
        """Places of the records as a field prefers them."""
        if name not in self._ranks:
            named = self._fields[name].sources if name in self._fields else ()
            order = [*named, *(source for source in self._sources if source not in named)]
            self._ranks[name] = {source: rank for rank, source in enumerate(order)}
        ranks = self._ranks[name]
        return sorted(range(len(records)), key=lambda place: ranks.get(records[place].source, len(ranks)))

    def _first(self, name: str, records: Sequence[Record], said: Callable[[Record], object]) -> int | None:
        return next((place for place in self._order(name, records) if said(records[place])), None)

    def _attribute(self, name: str, records: Sequence[Record]) -> tuple[tuple[str, ...], tuple[int, ...]]:
        rule = self._fields.get(ATTRIBUTES + name, FieldOrder())
        having = [place for place in self._order(ATTRIBUTES + name, records) if records[place].attributes.get(name)]
        if rule.combine == "first":
            having = having[:1]
        return _distinct(((place, records[place].attributes[name]) for place in having), rule.max)

    def _other_titles(self, title: str, records: Sequence[Record]) -> tuple[tuple[str, ...], tuple[int, ...]]:
        rule = self._fields.get(ATTRIBUTES + OTHER_TITLES, FieldOrder(max=_MOST_OTHER_TITLES))
        known = {normal_title(title)}
        found: list[tuple[int, list[str]]] = []
        for place in self._order(ATTRIBUTES + OTHER_TITLES, records):
            new = []
            for other in records[place].titles:
                if (plain := normal_title(other)) not in known:
                    known.add(plain)
                    new.append(other)
            found.append((place, new))
        return _distinct(found, rule.max)


def _distinct(found: Iterable[tuple[int, Sequence[str]]], most: int | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Values of records, each once whatever its case, and the places of those records that gave one."""
    values: dict[str, str] = {}
    places: list[int] = []
    for place, given in found:
        before = len(values)
        for value in given:
            if most is None or len(values) < most:
                values.setdefault(value.casefold(), value)
        if len(values) > before:
            places.append(place)
    return tuple(values.values()), tuple(places)


__all__ = ["ATTRIBUTES", "OTHER_TITLES", "FieldOrder", "Merged", "Merger"]
