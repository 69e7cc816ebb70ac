"""Item -> the text that is embedded, laid out by a template that is data."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rarec.catalogue.tokens import EstimatedTokens, Tokens, cut_to_tokens
from rarec.errors import SettingsError
from rarec.types import LINK, Item

PACKAGED = ("generic", "film", "books", "games", "shop")
_ESTIMATED = EstimatedTokens()


class LayoutLine(BaseModel):
    """One line of a layout: a prefix and the first values of one attribute; left out where there are none.

    Attributes:
        attribute: of the item.
        prefix: before the values.
        max_values: how many of them; None is all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: str = Field(min_length=1)
    prefix: str = ""
    max_values: int | None = Field(default=None, ge=1)


class Layout(BaseModel):
    """How an item is written for an embedder: ``Title (year)``, attribute lines, then the text.

    Attributes:
        name: names it in messages.
        lines: the attribute lines in order.
        other_attributes: whether each attribute without a line of its own follows as ``Name: values``; a link does not.
        max_other_values: how many values such a line has; None is all.
        max_text_chars: how many characters of the item's text follow; 0 leaves it out.
        max_tokens: how many tokens of the embedder all of it may have, with those that the model puts around it; what
            is more is cut at the end, at a word. None sets no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    lines: tuple[LayoutLine, ...] = ()
    other_attributes: bool = False
    max_other_values: int | None = Field(default=None, ge=1)
    max_text_chars: int = Field(default=700, ge=0)
    max_tokens: int | None = Field(default=None, ge=8)

    def render(self, item: Item, tokens: Tokens | None = None) -> str:
        """The text of one item; see `item_text`."""
        whole = self._whole(item)
        return whole if self.max_tokens is None else cut_to_tokens(whole, self.max_tokens, tokens or _ESTIMATED)

    def _whole(self, item: Item) -> str:
        first = item.title if item.year is None else f"{item.title} ({item.year})"
        named = [self._line(item, line) for line in self.lines]
        others = self._others(item) if self.other_attributes else []
        return "\n".join(part for part in (first, *named, *others, item.text[: self.max_text_chars]) if part)

    def _line(self, item: Item, line: LayoutLine) -> str:
        values = item.attributes.get(line.attribute, ())[: line.max_values]
        return line.prefix + ", ".join(values) if values else ""

    def _others(self, item: Item) -> list[str]:
        own = {line.attribute for line in self.lines}
        return [
            f"{name[:1].upper()}{name[1:].replace('_', ' ')}: {', '.join(values[: self.max_other_values])}"
            for name, values in item.attributes.items()
            if values and name not in own and name != LINK
        ]


def item_text(item: Item, layout: Layout | None = None, tokens: Tokens | None = None) -> str:
    """What is embedded for an item: title and year, its attributes, then the beginning of its text.

    Lines are joined by newlines and an empty one is left out; no layout is the generic one. Titles, values
    and text are copied byte for byte, because vectors are cached by the hash of this text.

    Args:
        tokens: of the embedder, where the layout sets a limit of tokens; None estimates them on the safe side.

    >>> item_text(Item(id=ItemId("1"), title="Plum jam", attributes={"made_in": ("Ghent",)}, text="Dark and tart."))
    'Plum jam\\nMade in: Ghent\\nDark and tart.'
    """
    return (layout or load_layout("generic")).render(item, tokens)


def load_layout(name_or_path: str | Path) -> Layout:
    """A packaged layout by its name (one of `PACKAGED`), or one from a TOML file.

    Raises:
        SettingsError: no such layout or file, or the file is wrong; every mistake in it is listed.
    """
    if isinstance(name_or_path, str) and name_or_path in PACKAGED:
        return _packaged(name_or_path)
    path = Path(name_or_path)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            f"no layout {str(name_or_path)!r}; use {' or '.join(map(repr, PACKAGED))}, or the path of a TOML file"
        ) from None
    return _parse(source, str(path))


@cache
def _packaged(name: str) -> Layout:
    source = resources.files("rarec.catalogue").joinpath("layouts", f"{name}.toml").read_text(encoding="utf-8")
    return _parse(source, name)


def _parse(source: str, origin: str) -> Layout:
    try:
        return Layout.model_validate(tomllib.loads(source))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"layout {origin!r} is not TOML: {error}") from None
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors())
        raise SettingsError(f"layout {origin!r} is wrong: {mistakes}") from None
