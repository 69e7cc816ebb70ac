"""In which fields two versions of an item differ."""

from __future__ import annotations

from rarec.types import Item

ORDER = "order of attributes"
"""Nothing else differs; the text that is embedded may."""


def differing_fields(old: Item, new: Item) -> tuple[str, ...]:
    """``title``, ``text``, ``year``, ``popularity``, ``attributes.NAME``; nothing for equal items.

    >>> from rarec.types import ItemId
    >>> differing_fields(Item(ItemId("1"), "Jam", year=1999), Item(ItemId("1"), "Jam", attributes={"made": ("Ghent",)}))
    ('year', 'attributes.made')
    """
    found = [name for name in ("title", "text", "year", "popularity") if getattr(old, name) != getattr(new, name)]
    names = dict.fromkeys([*old.attributes, *new.attributes])
    found += [f"attributes.{name}" for name in names if old.attributes.get(name, ()) != new.attributes.get(name, ())]
    if not found and list(old.attributes) != list(new.attributes):
        return (ORDER,)
    return tuple(found)


def value_of(item: Item, field: str) -> object:
    """The value of a field that `differing_fields` names; values of an attribute are a tuple."""
    if field.startswith("attributes."):
        return tuple(item.attributes.get(field.removeprefix("attributes."), ()))
    if field == ORDER:
        return tuple(item.attributes)
    return getattr(item, field)
