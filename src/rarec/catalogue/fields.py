"""Columns of a file -> fields of an item."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
import shlex
import textwrap
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rarec.catalogue.validation import item_problem, shortened
from rarec.errors import InputError
from rarec.types import Item, ItemId

FIELDS = ("id", "title", "text", "year", "popularity")
PREFIX = "attributes."
_DELIMITERS = (";", "\t", "|")
_LISTED = 100
_LONGEST_NAME = 60
_WHOLE = re.compile(r"[+-]?[0-9]{1,6}(\.0{1,6})?")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was refused.

    Attributes:
        line: 1-based line of a text file (the first one of a quoted CSV record), row of a Parquet file.
        reason: what is wrong, with the value shortened.
    """

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class ColumnsError(InputError):
    """A table has other columns than are asked for."""


class BadField(Exception):
    """A value cannot become the field it is meant for; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column feeds which field.

    Attributes:
        fields: item field -> column.
        attributes: attribute -> column. Every column that is named nowhere becomes an attribute of its own name.
        separator: splits the attribute columns of formats that have no lists.
        before: the mapping of an earlier import into the same store, if the ids now come from elsewhere; else None.
    """

    fields: Mapping[str, str]
    attributes: Mapping[str, str]
    separator: str
    before: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls,
        columns: Mapping[str, str] | None,
        *,
        separator: str = "|",
        before: Mapping[str, str] | None = None,
    ) -> Columns:
        """Read a user's mapping; see `read_items` for what it means.

        Args:
            before: the mapping of an earlier import; a mapping of the id that is given now is meant, whatever it says.
        Raises:
            InputError: a key is no item field and no ``attributes.<name>``.
        """
        forgotten = {} if "id" in (columns or {}) else dict(before or {})
        given = dict(columns or {})
        fields = {name: given.pop(name, name) for name in FIELDS}
        wrong = [key for key in given if not key.startswith(PREFIX) or not key[len(PREFIX) :].strip()]
        if wrong:
            raise InputError(
                f"unknown field {wrong[0]!r} to map a column to; use {', '.join(FIELDS)} or {PREFIX}NAME, for "
                "example --map id=sku --map attributes.colour=col"
            )
        attributes = {key[len(PREFIX) :]: column for key, column in given.items()}
        return cls(fields, attributes, separator, forgotten if forgotten.get("id", "id") != "id" else None)

    def check_ids(self, names: Collection[str]) -> None:
        """Refuse a row or table that has the column which an earlier import took the ids from, and now would not.

        Raises:
            InputError: names the options to give again.
        """
        if self.before and self.before["id"] in names:
            again = " ".join(f"--map {shlex.quote(f'{name}={column}')}" for name, column in self.before.items())
            raise InputError(
                f"the ids of this store came from the column {self.before['id']!r}, which this file has too; "
                f"without it the same items would get other ids and stand there twice. As before: {again}; for other "
                "ids: --map id=COLUMN"
            )

    def check_header(self, header: Collection[str], *, asked: Mapping[str, str] | None) -> None:
        """Refuse a table that lacks a column which was asked for, or has no title.

        Raises:
            ColumnsError: names the missing column and those that exist.
        """
        self.check_ids(header)
        needed = {**(asked or {}), "title": self.fields["title"]}
        for field, column in needed.items():
            if column not in header:
                told = _columns_told(list(header), column, field)
                raise ColumnsError(f"no column {column!r} for the {field}; {told}")


def _columns_told(header: Sequence[str], wanted: str, field: str) -> str:
    """Which columns a file has, and what to do if one of them is meant."""
    if len(header) == 1 and (mark := next((mark for mark in _DELIMITERS if mark in header[0]), None)):
        shown = "a tab" if mark == "\t" else repr(mark)
        option = "$'\\t'" if mark == "\t" else repr(mark)
        return f"its columns seem to stand between {shown}: give --delimiter {option}"
    near = difflib.get_close_matches(wanted.casefold(), [name.casefold() for name in header], n=1)
    guess = next((name for name in header if name.casefold() in near), "COLUMN")
    meant = "" if guess == "COLUMN" else f"is {guess!r} meant? "
    listed = ", ".join(textwrap.shorten(name, _LONGEST_NAME, placeholder="...") for name in header[:_LISTED])
    more = f" and {len(header) - _LISTED:,} more" if len(header) > _LISTED else ""
    option = shlex.quote(f"{field}={guess}")
    return f"the file has the columns {listed}{more}; {meant}say which one holds it: --map {option}"


def item_from(row: Mapping[str, object], columns: Columns, *, split: bool) -> tuple[Item, bool]:
    """Make an item of one row and say whether its id had to be derived.

    A number that is NaN is a missing value, as data frames write it.

    Args:
        split: the format has no lists; attribute texts are split at `columns.separator`.
    Raises:
        BadField: a value is missing or wrong.
    """
    field = columns.fields
    columns.check_ids(row.keys())
    title = _title(row.get(field["title"]))
    year = _year(row.get(field["year"]))
    derived = field["id"] not in row
    item = Item(
        id=slug(title, year) if derived else _id(row[field["id"]]),
        title=title,
        text=_text(row.get(field["text"])),
        year=year,
        attributes=_attributes(row, columns, columns.separator if split else None),
        popularity=_popularity(row.get(field["popularity"])),
    )
    if problem := item_problem(item):
        raise BadField(problem)
    return item, derived


def slug(title: str, year: int | None) -> ItemId:
    """An id made of title and year, like ``the-third-man-1949``; letters of every script are kept."""
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", title.replace("½", " 1 2")) if not unicodedata.combining(c)
    ).casefold()
    words = "-".join("".join(c if c.isalnum() else " " for c in plain.replace("'", "").replace("’", "")).split())
    if not words:
        words = "item-" + hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()[:8]
    return ItemId(words if year is None else f"{words}-{year}")


def _id(value: object) -> ItemId:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return ItemId(str(value))
    if _is_missing(value) or (isinstance(value, str) and not value.strip()):
        raise BadField(f"id is empty: {shortened(value)}")
    if not isinstance(value, str):
        raise BadField(f"id is neither text nor a whole number: {shortened(value)}")
    return ItemId(value.strip())


def _title(value: object) -> str:
    if _is_missing(value) or (isinstance(value, str) and not value.strip()):
        raise BadField(f"title is empty: {shortened(value)}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # titles such as 1917 lose their quotes in many exports
    if not isinstance(value, str):
        raise BadField(f"title is not text: {shortened(value)}")
    return value.strip()


def _text(value: object) -> str:
    if _is_missing(value):
        return ""
    if not isinstance(value, str):
        raise BadField(f"text is not text: {shortened(value)}")
    return value


def _year(value: object) -> int | None:
    if _is_missing(value) or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().split(".")[0])
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a column with gaps is written as 1999.0 by many tools
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadField(f"year is not a whole number: {shortened(value)}")
    return value


def _popularity(value: object) -> float:
    if _is_missing(value) or (isinstance(value, str) and not value.strip()):
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or (isinstance(value, str) and "_" in value):
        raise BadField(f"popularity is not a number: {shortened(value)}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise BadField(f"popularity is not a number: {shortened(value)}") from None


def _attributes(row: Mapping[str, object], columns: Columns, separator: str | None) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    nested = row.get("attributes")
    if not _is_missing(nested):
        if not isinstance(nested, Mapping):
            raise BadField(f"attributes is not an object of name -> values: {shortened(nested)}")
        for name, value in nested.items():
            found[str(name)] = _values(str(name), value, separator)
    for name, column in columns.attributes.items():
        found[name] = _values(name, row.get(column), separator)
    used = {*columns.fields.values(), *columns.attributes.values(), "attributes"}
    for name, value in row.items():
        if name not in used:
            found[name.removeprefix(PREFIX)] = _values(name, value, separator)
    return {name: values for name, values in found.items() if values}


def _values(name: str, value: object, separator: str | None) -> tuple[str, ...]:
    if isinstance(value, str) and separator:
        return tuple(part.strip() for part in value.split(separator) if part.strip())
    if isinstance(value, (list, tuple)):
        return tuple(text for entry in value for text in _scalar(name, entry))
    return _scalar(name, value)


def _scalar(name: str, value: object) -> tuple[str, ...]:
    if _is_missing(value):
        return ()
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    if isinstance(value, (Mapping, list, tuple, bytes)):
        raise BadField(f"attribute {name!r} is nested; use a text or a list of texts: {shortened(value)}")
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (str(value),)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
