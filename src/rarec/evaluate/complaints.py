"""What is wrong in a recipe, in words: where, what was given, and what may stand there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

Place = Sequence[str | int]
TABLE = "table"
"""How a language model's table is told from the word "local"; no part of a place that is shown."""


def complaints(error: ValidationError, recipe: type[BaseModel]) -> list[str]:
    """One line for each mistake, in the order of the file."""
    wrong = error.errors()
    # A list of which every member is wrong is reported as too short as well.
    shown = [e for e in wrong if not (e["type"] == "too_short" and any(_inside(o["loc"], e["loc"]) for o in wrong))]
    return [_line(e["loc"], _text(e, recipe), e["input"]) for e in shown]


def guess(word: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?`` if one of the known words is close, else a full stop."""
    close = difflib.get_close_matches(word.casefold(), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def keys_of(model: type[BaseModel]) -> list[str]:
    """What a table may hold, as a recipe writes it."""
    return [field.alias or name for name, field in model.model_fields.items()]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The classes of tables that an annotation allows, unions and lists taken apart."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def _text(error: Mapping[str, Any], recipe: type[BaseModel]) -> str:
    place, kind, context = error["loc"], error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys_at(place[:-1], recipe)
        return f"unknown key{guess(str(place[-1]), known)} The keys here are {', '.join(known)}"
    if kind == "union_tag_invalid":
        known = [one.strip(" '") for one in str(context["expected_tags"]).split(",")]
        return f"no kind {context['tag']!r}{guess(str(context['tag']), known)} The kinds are {', '.join(known)}"
    if kind == "union_tag_not_found":
        return 'it has no kind; add one, for example kind = "popularity"'
    if "llm" in place and place[-1] in ("local", "llm"):
        table = 'a table: { model = "...", base_url = "..." }'
        return f"give {table}" if "llm-alone" in place else f'give "local", or {table}'
    return str(error["msg"]).removeprefix("Value error, ")


def _keys_at(place: Place, recipe: type[BaseModel]) -> list[str]:
    """The keys of the table at a place."""
    models: list[type[BaseModel]] = [recipe]
    for part in place:
        if isinstance(part, int) or part == TABLE:
            continue
        fields = [field for model in models if (field := _field(model, part)) is not None]
        if len(models) > 1 and (chosen := [model for model in models if _kind(model) == part]):
            models = chosen
        else:
            models = [model for field in fields for model in models_in(field.annotation)]
    return list(dict.fromkeys(key for model in models for key in keys_of(model)))


def _field(model: type[BaseModel], key: str) -> FieldInfo | None:
    return next((field for name, field in model.model_fields.items() if key in (name, field.alias)), None)


def _kind(model: type[BaseModel]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _inside(place: Place, outer: Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _line(place: Place, text: str, value: object) -> str:
    """``system 3 (retriever).of``: where, and what is wrong there; places in a list count from 1."""
    shown = "" if isinstance(value, (dict, BaseModel)) else f" = {value!r}"
    if "llm" in place and place[-1] == "local":
        place = place[:-1]
    where, before = "", ""
    for at, part in enumerate(place):
        if part == TABLE and before == "llm":
            continue
        if isinstance(part, int):
            where += f" {part + 1}"
        elif at == 2 and place[0] == "system":  # the kind that was chosen
            where += f" ({part})"
        else:
            where += f".{part}" if where else part
        before = str(part)
    return f"  {where}{shown}: {text}" if where else f"  {text}"


__all__ = ["TABLE", "complaints", "guess", "keys_of", "models_in"]
