"""Writes the reference in docs/recipe.md from the recipe's own classes: python docs/generate_recipe.py

What stands before the marker is written by hand and stays.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rarec.embed.factory import EmbedderSettings
from rarec.evaluate.complaints import models_in
from rarec.evaluate.recipe import DataSetConfig, Recipe, RunConfig
from rarec.evaluate.system_configs import COMMON, CustomSystem, LLMConfig, PricesConfig
from rarec.files import write_text

TARGET = Path(__file__).with_name("recipe.md")
MARKER = "<!-- From here on written by docs/generate_recipe.py; change the classes' docstrings and run it again. -->"
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_TABLES = {RunConfig: "run", DataSetConfig: "data_set", EmbedderSettings: "embedder", LLMConfig: "llm",
           PricesConfig: "prices"}  # fmt: skip


def document() -> str:
    """The whole page: its head as it is, and the reference."""
    head = TARGET.read_text(encoding="utf-8").partition(MARKER)[0].rstrip()
    systems = [model for model in models_in(Recipe.model_fields["systems"].annotation) if model is not CustomSystem]
    parts = [
        head, MARKER, "## Reference",
        "A recipe has `format = 1` and these tables; keys without a default are required.",
        "### [run]", _summary(RunConfig), _table(RunConfig),
        "### [[data_set]]", _summary(DataSetConfig), _table(DataSetConfig),
        "### [embedder]", _summary(EmbedderSettings), _table(EmbedderSettings),
        "### [[system]]", "Every system has a `kind`, and may have:", _table(systems[0], only=COMMON),
    ]  # fmt: skip
    for model in systems:
        parts += [f'### kind = "{model.model_fields["kind"].default}"', _summary(model)]
        parts += [_table(model, leave=("kind", *COMMON))]
    parts += ["### llm = { ... }", _summary(LLMConfig), _table(LLMConfig)]
    parts += ["### prices = { ... }", _summary(PricesConfig), _table(PricesConfig)]
    return "\n\n".join(part for part in parts if part) + "\n"


def undocumented() -> list[str]:
    """Keys that have no sentence."""
    models: list[type[BaseModel]] = [RunConfig, DataSetConfig, EmbedderSettings, LLMConfig, PricesConfig]
    models += models_in(Recipe.model_fields["systems"].annotation)
    return [f"{model.__name__}.{name}" for model in models for name in model.model_fields
            if name != "kind" and not _meanings(model).get(name)]  # fmt: skip


def _summary(model: type[BaseModel]) -> str:
    text = inspect.getdoc(model) or ""
    return _marked(" ".join(text.split("Attributes:")[0].split()))


def _table(model: type[BaseModel], *, only: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> str:
    names = [name for name in model.model_fields if name not in leave and (not only or name in only)]
    if not names:
        return ""
    meanings = _meanings(model)
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name in names:
        field = model.model_fields[name]
        cells = [f"`{name}`", _type(field.annotation) + _limits(field), _default(field), meanings.get(name, "")]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a class and of those that it is made of say of its fields."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")[2]
        for names, said in re.findall(r"^    ([a-z][\w, ]*): (.*(?:\n {5,}.*)*)", text, re.MULTILINE):
            found |= {name.strip(): _marked(" ".join(said.split())) for name in names.split(",")}
    return found


def _marked(text: str) -> str:
    """Code in one pair of backticks, and names of Python without their module."""
    return re.sub(r"`rarec\.[\w.]*?(\w+)`", r"`\1`", text.replace("``", "`"))


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if annotation in _TABLES:
        return f"table `{_TABLES[annotation]}`"
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin is tuple:
        return f"list of two: {_type(inner[0])}" if inner[-1] is not Ellipsis else f"list: {_type(inner[0])}"
    if origin in (Union, types.UnionType):
        return " or ".join(map(_type, inner))
    return _WORDS[annotation]


def _limits(field: FieldInfo) -> str:
    found = [f"{words} {getattr(one, name):g}" for one in field.metadata for name, words in _LIMITS.items()
             if hasattr(one, name)]  # fmt: skip
    return f", {', '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    return f"`{json.dumps(value if not isinstance(value, Path) else value.as_posix())}`"


if __name__ == "__main__":
    write_text(TARGET, document())
