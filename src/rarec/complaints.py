"""What is wrong in a file of settings, in words: where, what was given, and what may stand there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rarec.errors import SettingsError

_Model = TypeVar("_Model", bound=BaseModel)
_Place = tuple[str | int, ...]

_WANTED = {
    "a whole number": ("int_type", "int_parsing", "int_from_float", "int_parsing_size"),
    "a number": ("float_type", "float_parsing"),
    "a finite number": ("finite_number",),
    "true or false": ("bool_type", "bool_parsing"),
    "text": ("string_type",),
    "text that is not empty": ("string_too_short",),
    "a path": ("path_type",),
    "a list": ("tuple_type", "list_type"),
    "a table": ("dict_type", "model_type", "model_attributes_type"),
}
_WANTED_BY = {kind: what for what, kinds in _WANTED.items() for kind in kinds}
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_BEYOND = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_SECRET = ("key", "token", "secret", "password")
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Complaint:
    """One mistake.

    Attributes:
        key: dotted, with places in a list counted from 1, e.g. ``system 3 (ranked).llm.model``; empty for the whole.
        value: what was given, in short; empty for a table, or where nothing was.
        text: what is wrong, and what may stand there.
    """

    key: str
    value: str
    text: str

    def line(self, origin: str = "") -> str:
        """As it is shown; `origin` says where the value comes from."""
        told = f"{self.key}{self.value and f' = {self.value}'}{origin and f' ({origin})'}"
        return f"  {told}: {self.text}" if told else f"  {self.text}"


def complaints(error: ValidationError, model: type[BaseModel]) -> list[Complaint]:
    """One for each mistake, in the order of the model's keys."""
    wrong = error.errors()
    # A list of which every member is wrong is reported as too short as well.
    shown = [e for e in wrong if not (e["type"] == "too_short" and any(_inside(o["loc"], e["loc"]) for o in wrong))]
    return [_complaint(dict(e), model) for e in shown]


def wrong_values(error: ValidationError, model: type[BaseModel], *, source: str) -> SettingsError:
    """The error that lists all mistakes of a recipe; `source` names it."""
    lines = "\n".join(complaint.line() for complaint in complaints(error, model))
    return SettingsError(f"the recipe {source!r} has wrong values:\n{lines}")


def checked(model: type[_Model], values: Mapping[str, Any], *, source: str) -> _Model:
    """A recipe that has a ``format``, from the values of a file.

    Args:
        source: names it in errors.
    Raises:
        SettingsError: it is of a later format, or has unknown or wrong values; all of them are listed.
    """
    known = model.model_fields["format"].default
    found = values.get("format", known)
    if isinstance(found, int) and found > known:
        raise SettingsError(
            f"the recipe {source!r} is of format {found!r}, this version of rarec reads format {known}; update rarec"
        )
    try:
        recipe = model.model_validate(values)
    except ValidationError as error:
        raise wrong_values(error, model, source=source) from None
    if quoted := list(_quoted(recipe, values)):
        raise SettingsError("\n".join([f"the recipe {source!r} has wrong values:", *(c.line() for c in quoted)]))
    return recipe


def _quoted(part: BaseModel, values: Mapping[str, Any], before: str = "") -> Iterator[Complaint]:
    """Text where a number or true or false stands: pydantic reads it, but a file that says it is mistaken."""
    for key, value in values.items():
        read = getattr(part, key, None)
        if isinstance(value, str) and isinstance(read, (int, float)):
            yield Complaint(f"{before}{key}", repr(value), "is text; write it without quotation marks")
        elif isinstance(value, Mapping) and isinstance(read, BaseModel):
            yield from _quoted(read, value, f"{before}{key}.")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The classes of tables that an annotation allows, unions and lists taken apart."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place in a model.

    Attributes:
        key: dotted.
        tables: classes that the table there may have; of an unknown key, those of the table that it is in.
        listed: whether it is a whole list of such tables.
    """

    key: str
    field: FieldInfo | None
    tables: list[type[BaseModel]]
    listed: bool


def _spot(place: _Place, model: type[BaseModel], *, unknown: bool) -> _Spot:
    key, field, tables, named = "", None, [model], False
    for at, part in enumerate(place):
        if isinstance(part, int):
            key += f" {part + 1}"
            continue
        if named:  # a name that the file chooses, in a table of tables
            key, named = f"{key}.{part}", False
            continue
        found = None if len(tables) != 1 else _field(tables[0], part)
        if tables and found is None and not (unknown and at == len(place) - 1):  # which class of a union was chosen
            tables = [table for table in tables if part in _tags(table)] or tables
            key += f" ({part})" if at and isinstance(place[at - 1], int) else ""
            continue
        key += f".{part}" if key else part
        if found is not None:
            field, tables = found, models_in(found.annotation)
            named = bool(tables) and get_origin(found.annotation) is dict
    listed = field is not None and get_origin(field.annotation) is tuple and not isinstance(place[-1], int)
    return _Spot(key, field, tables, listed)


def _complaint(error: Mapping[str, Any], model: type[BaseModel]) -> Complaint:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    spot = _spot(error["loc"], model, unknown=kind == "extra_forbidden")
    if kind == "extra_forbidden":
        name = str(error["loc"][-1])
        secret = any(word in name.casefold() for word in _SECRET)  # somebody will put one where it does not belong
        return Complaint(spot.key, "***" if secret else _shown(value), _unknown(name, spot))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        known, given = [tag for table in spot.tables for tag in _tags(table)], str(context.get("tag", ""))
        key = f"{spot.key}.{context['discriminator'].strip(chr(39))}"
        text = f"must be one of {', '.join(known)}{_guess(given, known)}"
        return Complaint(key, repr(given), text) if given else Complaint(key, "", f"missing; {text}")
    if kind == "missing":
        wanted = f"must be {_table(spot)}" if spot.tables else "it has no default"
        return Complaint(spot.key, "", f"missing; {wanted}")
    return Complaint(spot.key, _shown(value), _text(kind, error, spot))


def unknown_key(place: _Place, model: type[BaseModel]) -> str:
    """What is told of a key that a table does not have: the nearest one, and all that it has.

    Args:
        place: of the key, as pydantic's errors name it.
    """
    return _unknown(str(place[-1]), _spot(place, model, unknown=True))


def _unknown(name: str, spot: _Spot) -> str:
    known = [key for table in spot.tables for key in _keys(table)]
    of = "".join(f"of {tag}" for table in spot.tables for tag in _tags(table)) or "here"
    return f"unknown key{_guess(name, known) or '.'} The keys {of} are {', '.join(known)}"


def _text(kind: str, error: Mapping[str, Any], spot: _Spot) -> str:
    """What may stand at a key that is known."""
    context = error.get("ctx", {})
    limits = _limits(spot.field, context)
    if kind == "literal_error":
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        more = [f"or {_table(spot)}"] if spot.tables else []
        return f"must be {'one of ' * (len(known) > 1)}{', '.join([*known, *more])}{_guess(error['input'], known)}"
    if kind in _BEYOND and limits:
        return f"must be {limits}"
    if wanted := _WANTED_BY.get(kind):
        return f"must be {', '.join(filter(None, [_table(spot) if spot.tables else wanted, limits]))}"
    if kind in ("too_short", "too_long"):
        words, number = ("least", context["min_length"]) if kind == "too_short" else ("most", context["max_length"])
        return f"must have at {words} {number} {'entry' if number == 1 else 'entries'}"
    if kind == "string_pattern_mismatch":
        return f"must match the regular expression {context['pattern']}"
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")


def _table(spot: _Spot) -> str:
    """The table, or list of tables, that stands at a place."""
    what = f"one or more tables [[{spot.key}]]" if spot.listed else "a table"
    if len(spot.tables) == 1:
        return f"{what} with the keys {', '.join(_keys(spot.tables[0]))}"
    tag = next(name for name, field in spot.tables[0].model_fields.items() if _tags_of(field))
    return f"{what} with a {tag}, one of {', '.join(tag for table in spot.tables for tag in _tags(table))}"


def _limits(field: FieldInfo | None, context: Mapping[str, Any]) -> str:
    """Of a number: all that the field has, not only the one that was passed."""
    rules = [*(field.metadata if field else ()), context]
    found = {name: value for rule in rules for name in _LIMITS if (value := _rule(rule, name)) is not None}
    return ", ".join(f"{words} {found[name]:g}" for name, words in _LIMITS.items() if name in found)


def _rule(rule: object, name: str) -> Any:
    return rule.get(name) if isinstance(rule, Mapping) else getattr(rule, name, None)


def _guess(word: object, known: Sequence[str]) -> str:
    """``; did you mean 'x'?`` if one of the known words is close."""
    close = difflib.get_close_matches(word.casefold(), known, n=1) if isinstance(word, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""


def _keys(table: type[BaseModel]) -> list[str]:
    """What a table may hold, as a file writes it; fields that are not for files have no repr."""
    return [field.alias or name for name, field in table.model_fields.items() if field.repr]


def _field(table: type[BaseModel], key: str) -> FieldInfo | None:
    return next((field for name, field in table.model_fields.items() if key in (name, field.alias)), None)


def _tags(table: type[BaseModel]) -> list[str]:
    """What chooses the class of a table among others."""
    return [tag for field in table.model_fields.values() for tag in _tags_of(field)][:1]


def _tags_of(field: FieldInfo) -> list[str]:
    one = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return [one[0]] if len(one) == 1 and isinstance(one[0], str) else []


def _shown(value: object) -> str:
    """A plain value or a list of such, in short; of tables nothing."""
    members = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(member, (Mapping, BaseModel, list, tuple)) for member in members):
        return ""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _inside(place: _Place, outer: _Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


__all__ = ["Complaint", "checked", "complaints", "models_in", "unknown_key", "wrong_values"]
