"""Writes the references of recipes from the recipes' own classes: python docs/generate_recipe.py

That of evaluation is in docs/recipe.md, that of alignment in docs/align_recipe.md, that of a corpus and of a layout in
docs/corpus_recipe.md. What stands before the marker of a
page is written by hand and stays.
"""

from __future__ import annotations

import datetime
import inspect
import json
import pkgutil
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rarec.align.settings import LoopSettings
from rarec.alignment.recipe import AlignRecipe, BudgetConfig, DataConfig, SetsConfig, SimulatedJudge
from rarec.catalogue.text import Layout, LayoutLine
from rarec.complaints import models_in
from rarec.corpus.recipe import CorpusRecipe, FieldConfig, ResolveConfig
from rarec.corpus.sources.config import Address
from rarec.corpus.sources.table import TableColumns, TableSource
from rarec.embed.factory import EmbedderSettings
from rarec.evaluate.recipe import DataSetConfig, Recipe, RunConfig
from rarec.evaluate.system_configs import COMMON, CustomSystem, LLMConfig, PricesConfig
from rarec.files import write_text
from rarec.reward import REWARDS
from rarec.testing.judges import PRESETS

FOLDER = Path(__file__).parent
MARKER = "<!-- From here on written by docs/generate_recipe.py; change the classes' docstrings and run it again. -->"
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path",
          datetime.date: "date as text, like `2026-11-01`"}  # fmt: skip
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_TABLES = {RunConfig: "run", DataSetConfig: "data_set", EmbedderSettings: "embedder", LLMConfig: "llm",
           PricesConfig: "prices", Address: "urls.NAME", TableColumns: "sources.columns",
           LayoutLine: "lines"}  # fmt: skip
_CORPORA: dict[str, type[BaseModel]] = {
    "[[sources]] of kind table": TableSource,
    "[sources.columns]": TableColumns,
    "urls.NAME = { ... }": Address,
    "[resolve]": ResolveConfig,
    '[fields] title, year, text or "attributes.NAME" = { ... }': FieldConfig,
    "A layout file": Layout,
    "[[lines]] of a layout": LayoutLine,
}


def documents() -> dict[Path, str]:
    """The whole pages: their heads as they are, and the references."""
    references = {"recipe.md": _of_evaluation(), "align_recipe.md": _of_alignment(),
                  "corpus_recipe.md": _of_corpora()}  # fmt: skip
    return {FOLDER / name: _page(FOLDER / name, parts) for name, parts in references.items()}


def undocumented() -> list[str]:
    """Keys that have no sentence. What a whole table of a recipe is about is said by its class."""
    roots: tuple[type[BaseModel], ...] = (Recipe, AlignRecipe)
    keys = [(root, name) for root in roots for name in _plain_keys(root)]
    keys += [(model, name) for root in roots for model in _below(root) for name in model.model_fields]
    keys += [(model, name) for model in _CORPORA.values() for name in model.model_fields]
    return [f"{model.__name__}.{name}" for model, name in dict.fromkeys(keys)
            if not _is_tag(model.model_fields[name]) and not _meanings(model).get(name)]  # fmt: skip


def _page(path: Path, parts: Sequence[str]) -> str:
    head = path.read_text(encoding="utf-8").partition(MARKER)[0].rstrip()
    return "\n\n".join(part for part in (head, MARKER, "## Reference", *parts) if part) + "\n"


def _of_evaluation() -> list[str]:
    systems = [model for model in models_in(Recipe.model_fields["systems"].annotation) if model is not CustomSystem]
    parts = [
        "A recipe has `format = 1` and these tables; keys without a default are required.",
        *_section("[run]", RunConfig),
        *_section("[[data_set]]", DataSetConfig),
        *_section("[embedder]", EmbedderSettings),
        "### [[system]]", "Every system has a `kind`, and may have:", _table(systems[0], only=COMMON),
    ]  # fmt: skip
    for model in systems:
        parts += _section(_tag(model), model, leave=COMMON)
    return [*parts, *_section("llm = { ... }", LLMConfig), *_section("prices = { ... }", PricesConfig)]


def _of_alignment() -> list[str]:
    parts = [
        "A recipe has `format = 1`, these keys above all tables, and the tables below. Keys without a default are "
        "required; where it is none, leaving the key out is what the meaning calls None.",
        _table(AlignRecipe, only=tuple(name for name in _plain_keys(AlignRecipe) if name != "reward")),
        *_section("[data]", DataConfig),
        "### [judge]", "Who ranks the sets; its `kind` is required.",
    ]  # fmt: skip
    for model in models_in(AlignRecipe.model_fields["judge"].annotation):
        parts += _section(f"[judge] {_tag(model)}", model)
        if model is SimulatedJudge:
            parts.append(_named("preset", PRESETS))
    parts += ["### [reward]", _rewards(), _named("reward", {f"{name}@k": of for name, of in REWARDS.items()})]
    learner = AlignRecipe.model_fields["learner"]
    parts += ["### [learner]", f"What is learned from the judged sets, by `name`; without the table "
              f"`{_tag(type(learner.default))}` as it is by default."]  # fmt: skip
    for model in models_in(learner.annotation):
        parts += _section(f"[learner] {_tag(model)}", model)
    return [
        *parts,
        *_section("[sets]", SetsConfig),
        *_section("[loop]", LoopSettings, leave=("seed",)),  # a recipe sets it by seeds
        *_section("[budget]", BudgetConfig),
        *_section("[embedder]", EmbedderSettings),
        *_section("prices = { ... }", PricesConfig),
    ]


def _of_corpora() -> list[str]:
    parts = [
        "A recipe has `format = 1`, these keys above all tables, and the tables below. Keys without a default are "
        "required.",
        _table(CorpusRecipe, only=tuple(_plain_keys(CorpusRecipe))),
    ]
    for head, model in _CORPORA.items():
        parts += _section(head, model)
    return parts


def _rewards() -> str:
    default = AlignRecipe.model_fields["reward"].get_default(call_default_factory=True)
    written = "; ".join(f"`{json.dumps(name)} = {weight}`" for name, weight in default.items())
    return ("What a ranking of the judge is worth: a sum of these, each with a weight more than 0. Without `@k` it is "
            f"`@10`; without the table, {written}.")  # fmt: skip


def _named(head: str, functions: Mapping[str, Any]) -> str:
    """The first sentence of each function's docstring, by name."""
    lines = [f"| {head} | meaning |", "| --- | --- |"]
    for name, function in functions.items():
        sentence = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split()).partition(". ")[0]
        lines.append(f"| `{name}` | {_marked(sentence).rstrip('.')}. |")
    return "\n".join(lines)


def _section(head: str, model: type[BaseModel], *, leave: tuple[str, ...] = ()) -> list[str]:
    return [f"### {head}", _summary(model), _table(model, leave=leave)]


def _summary(model: type[BaseModel]) -> str:
    text = inspect.getdoc(model) or ""
    return _marked(" ".join(text.split("Attributes:")[0].split()))


def _table(model: type[BaseModel], *, only: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> str:
    names = [name for name, field in model.model_fields.items()
             if name not in leave and not _is_tag(field) and (not only or name in only)]  # fmt: skip
    if not names:
        return ""
    meanings = _meanings(model)
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name in names:
        field = model.model_fields[name]
        cells = [
            f"`{field.alias or name}`",
            _type(field.annotation) + _limits(field),
            _default(field),
            meanings.get(name, ""),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _plain_keys(recipe: type[BaseModel]) -> list[str]:
    """Keys of a recipe that are neither a table with a class of its own nor the format."""
    return [name for name, field in recipe.model_fields.items()
            if not models_in(field.annotation) and not _is_tag(field)]  # fmt: skip


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The classes of all tables that a table can hold, at any depth."""
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield inner
            yield from _below(inner)


def _is_tag(field: FieldInfo) -> bool:
    """Whether it has one value only: it chooses the class, or is the format."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1


def _tag(model: type[BaseModel]) -> str:
    """What chooses the class among others: ``kind = "bm25"``."""
    return next(f"{name} = {json.dumps(field.default)}" for name, field in model.model_fields.items() if _is_tag(field))


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a class and of those that it is made of say of its fields."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")[2]
        for names, said in re.findall(r"^    ([a-z][\w, ]*): (.*(?:\n {5,}.*)*)", text, re.MULTILINE):
            found |= {name.strip(): _marked(" ".join(said.split())) for name in names.split(",")}
    return found


def _marked(text: str) -> str:
    """Code in one pair of backticks, and names of Python without their module; a module keeps its whole name."""

    def short(found: re.Match[str]) -> str:
        return found[0] if inspect.ismodule(pkgutil.resolve_name(found[1])) else f"`{found[1].rpartition('.')[2]}`"

    return re.sub(r"`(rarec\.[\w.]+)`", short, text.replace("``", "`"))


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if models_in(annotation) == [annotation]:
        return f"table `{_TABLES[annotation]}`" if annotation in _TABLES else f"table of `{_tag(annotation)}`"
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin is dict:
        return f"table: name = {_type(inner[1])}"
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
    value = field.get_default(call_default_factory=True) if field.default_factory else field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    return f"`{json.dumps(value if not isinstance(value, Path) else value.as_posix())}`"


if __name__ == "__main__":
    for path, text in documents().items():
        write_text(path, text)
