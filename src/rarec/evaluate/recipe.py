"""A recipe: everything that decides the figures of a run, in one TOML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rarec.complaints import checked
from rarec.conversations.data_sets import DATA_SETS
from rarec.embed.factory import EmbedderSettings
from rarec.errors import InputError
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.score import Options, measure_parts
from rarec.evaluate.system_configs import DataSetName, Name, SystemConfig
from rarec.files import read_recipe_toml

FORMAT: Final = 1
_USUAL = Options()
_Value = TypeVar("_Value")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class RunConfig(_Part):
    """What is measured, and how.

    Attributes:
        name: of the run; the recipe file's if empty.
        seed: of the bootstrap.
        seeds: systems that draw at random are run once with each.
        measures: recall (``R@k``), NDCG (``N@k``) and ``MRR@k``.
        headline: the measure of groups and pairs; one of `measures`.
        samples: draws of the bootstrap by dialogue.
        level: of the intervals.
        slices: whether figures of parts of the rows are told too.
        against: a system that every other is compared with on all measures.
        highlight: at most six systems that the page colours in its plots; by default those of the highest figures.
        depth: how long lists are kept; at least as long as the measures ask.
        protocols: one table each: ``new-targets`` or ``all-targets``, and ``/per-turn``, ``/corpus``, ``/seen-kept``
            or ``/seen-excluded`` after it.
    """

    name: str = ""
    seed: int = Field(default=0, ge=0)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    measures: tuple[str, ...] = Field(default=_USUAL.measures, min_length=1)
    headline: str = _USUAL.headline
    samples: int = Field(default=_USUAL.samples, ge=1)
    level: float = Field(default=_USUAL.level, gt=0, lt=1)
    against: str | None = None
    highlight: tuple[str, ...] = Field(default=(), max_length=6)
    slices: bool = True
    depth: int = Field(default=100, ge=1, le=1000)
    protocols: tuple[str, ...] = Field(default=("new-targets",), min_length=1)

    @field_validator("protocols")
    @classmethod
    def _are_protocols(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _different(tuple(protocol.name for protocol in _each(EvaluationProtocol.parse, names)))

    @field_validator("measures")
    @classmethod
    def _are_measures(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        _each(measure_parts, names)
        return _different(names)

    @field_validator("headline")
    @classmethod
    def _is_a_measure(cls, name: str) -> str:
        measure_parts(name)
        return name

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return _different(seeds)

    @model_validator(mode="after")
    def _deep_enough(self) -> Self:
        if (asked := self.options().depth) > self.depth:
            raise ValueError(f"the measures look {asked} places down, but depth is {self.depth}; raise it")
        return self

    def options(self) -> Options:
        """As scoring wants them. Raises InputError if a measure or the headline is wrong."""
        return Options(
            measures=self.measures, headline=self.headline, seed=self.seed, samples=self.samples, level=self.level,
            against=self.against, slices=self.slices,
        )  # fmt: skip

    def parsed_protocols(self) -> tuple[EvaluationProtocol, ...]:
        return tuple(map(EvaluationProtocol.parse, self.protocols))


class DataSetConfig(_Part):
    """Which conversations.

    Attributes:
        name: of the data set in tables and folders; each comes once in a recipe.
        reader: ``redial``, ``inspired``, ``reddit-v1``, ``reddit-v2``, or ``jsonl``, the own format; if empty, the one
            called as `name`, else ``jsonl``.
        folder: where it lies; relative to the recipe's folder.
        split: what is evaluated.
        training: the split that systems learn from and that popularity is counted in; empty if there is none.
        tuning: the split that weights are tuned on.
        examples: a file with the turns to predict, where they are not those of the split.
        recorded_ranks: ranks that recorded language models gave to the targets (Parquet); relative to `folder`.
        recorded_outputs: what recorded language models wrote (Parquet); relative to `folder`.
        layout: how items are written for the embedder: a packaged layout or the path of one. Empty means ``film``
            where vectors of such texts lie in `folder`, else ``generic``.
        mentions: what conversations mention: ``annotated`` is what the data set says, of which systems know the items
            of its catalogue; ``linked`` adds what the linker finds in the messages of the rest of the corpus, as in a
            store that knows more than is to be recommended.
        sentiments: keep annotated sentiments of mentions in what is evaluated; when serving, a linker knows none.
    """

    name: DataSetName
    reader: str = ""
    folder: Path = Path()
    split: Name = "test"
    training: str = "train"
    tuning: Name = "valid"
    examples: Path | None = None
    recorded_ranks: Path | None = None
    recorded_outputs: Path | None = None
    layout: str = ""
    mentions: Literal["annotated", "linked"] = "annotated"
    sentiments: bool = False


class Recipe(_Part):
    """One run. See `recipes/bench.toml`; read one with `load_recipe`."""

    format: Literal[1] = FORMAT
    run: RunConfig = RunConfig()
    embedder: EmbedderSettings = EmbedderSettings()
    data_sets: tuple[DataSetConfig, ...] = Field(alias="data_set", min_length=1)
    systems: tuple[SystemConfig, ...] = Field(alias="system", min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = [*_twice("data set", [d.name for d in self.data_sets]), *_twice("system", self.rows())]
        known = {data_set.name for data_set in self.data_sets}
        for system in self.systems:
            wrong += [f"{system.row!r} runs only on {n!r}, which is no data set here" for n in {*system.only} - known]
        wrong += self._wrong_needs()
        shown = [system.row for system in self.systems if system.show]
        if not shown:
            wrong.append("no system is shown; leave 'show = false' away from one")
        elif self.run.against is not None and self.run.against not in shown:
            wrong.append(f"cannot compare against {self.run.against!r}: the systems are {shown!r}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_needs(self) -> list[str]:
        """Rows that need one that is not there, or in the end themselves."""
        waiting = {system.row: {*system.needs()} for system in self.systems}
        lost = [(row, name) for row, names in waiting.items() for name in sorted(names - waiting.keys())]
        if lost:
            return [f"{row!r} needs the system {name!r}; the systems are {self.rows()!r}" for row, name in lost]
        while free := [row for row, names in waiting.items() if not names & waiting.keys()]:
            for row in free:
                del waiting[row]
        return [f"the systems {sorted(waiting)!r} need each other in a circle; one must come first"] if waiting else []

    def rows(self) -> list[str]:
        """Names of the systems' rows, in order."""
        return [system.row for system in self.systems]

    def of(self, data_set: str) -> tuple[SystemConfig, ...]:
        """The systems that run on a data set."""
        return tuple(system for system in self.systems if not system.only or data_set in system.only)

    def document(self) -> dict[str, Any]:
        """As JSON, with the recipe's own names."""
        return self.model_dump(mode="json", by_alias=True)


def load_recipe(path: str | Path, *, data: str | Path | None = None) -> Recipe:
    """Read a recipe; its paths are made absolute, and its run is named after the file unless it has a name.

    Args:
        data: a data folder that takes the place of the recipe's, except for data sets of the own format.
    Raises:
        SettingsError: the file is missing, not TOML, of a later format, or has unknown or wrong values; all of them
            are listed.
    """
    path = Path(path)
    values = read_recipe_toml(path)
    recipe = parse_recipe(values, source=str(path))
    named = recipe.run.model_copy(update={"name": recipe.run.name or path.stem})
    return _placed(recipe.model_copy(update={"run": named}), path.parent, None if data is None else Path(data))


def parse_recipe(values: Mapping[str, Any], *, source: str) -> Recipe:
    """A recipe from the values of a file; `source` names it in errors. Raises SettingsError as `load_recipe` does."""
    return checked(Recipe, values, source=source)


def _placed(recipe: Recipe, folder: Path, data: Path | None) -> Recipe:
    """The same recipe with absolute paths."""
    base = folder.resolve()
    data_sets = []
    for given in recipe.data_sets:
        own = given.reader == "jsonl" or not (given.reader or given.name in DATA_SETS)
        root = (base / given.folder if data is None or own else data).resolve()
        paths = {
            name: None if (path := getattr(given, name)) is None else (root / path).resolve()
            for name in ("examples", "recorded_ranks", "recorded_outputs")
        }
        data_sets.append(given.model_copy(update={"folder": root, **paths}))
    systems = []
    for system in recipe.systems:
        paths = {
            name: (base / value).resolve()
            for name in type(system).model_fields
            if isinstance(value := getattr(system, name), Path)
        }
        systems.append(system.model_copy(update=paths))
    return recipe.model_copy(update={"data_sets": tuple(data_sets), "systems": tuple(systems)})


def _each(read: Callable[[str], _Value], names: Sequence[str]) -> list[_Value]:
    """Read every name. Raises ValueError with all that cannot be read, not only the first."""
    found: list[_Value] = []
    wrong: list[str] = []
    for name in names:
        try:
            found.append(read(name))
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def _different(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    if twice := [value for value in values if values.count(value) > 1]:
        raise InputError(f"{twice[0]!r} comes twice")
    return values


def _twice(what: str, names: Sequence[str]) -> list[str]:
    return [f"two of {what} are named {name!r}; give each its own name" for name in names if names.count(name) > 1][:1]
