"""A recipe of a corpus: which dumps, what is the same, and what of it is kept, in one TOML file."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from rarec.complaints import checked
from rarec.corpus.judging import FACTS, NUMBERS
from rarec.corpus.merging import OTHER_TITLES
from rarec.corpus.sources import Source
from rarec.corpus.sources.config import Part, SourceConfig
from rarec.corpus.traits import MOST_FACTS
from rarec.errors import SettingsError
from rarec.files import read_recipe_toml

FORMAT: Final = 1
FIELDS: Final = ("title", "year", "text")
"""What an item has beside attributes that a recipe can say the source of."""
ATTRIBUTES: Final = "attributes."

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ResolveConfig(Part):
    """When records of different sources are taken for one thing, beside having an id in common.

    Attributes:
        by_title: also by title and year; else only by ids.
        people: somebody who made it must be the same too, where both say who did.
        year_slack: how far apart the years may be; 0 where the year tells things apart, such as vintages.
        facts: attributes that say what sort of thing it is; where both sides say so and nothing agrees, they are two.
        numbers: attribute -> how far apart the numbers in it may be. Attributes that are named here or in `facts` must
            come from a source; those of the defaults need not.
    """

    by_title: bool = True
    people: bool = True
    year_slack: int = Field(default=1, ge=0, le=10)
    facts: tuple[str, ...] = Field(default=FACTS, max_length=MOST_FACTS)
    numbers: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=lambda: {**NUMBERS})


class FieldConfig(Part):
    """Where a field of the items comes from.

    Attributes:
        sources: names, the first that says something wins; none named is the order of ``[[sources]]``.
        combine: ``first`` takes one source's value, ``all`` the values of all, each once; only attributes have several.
        max: at most so many values; None takes all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(default=(), alias="from")
    combine: Literal["first", "all"] = "first"
    max: int | None = Field(default=None, ge=1)


class CorpusRecipe(Part):
    """Everything that decides a corpus, beside the dumps. Read one with `load_corpus_recipe`.

    Attributes:
        name: of the corpus; the recipe file's if empty.
        ids: namespaces; the first of which a thing has an id names its item, as ``imdb-tt0000001``.
        on_bad: ``skip`` goes on without rows that cannot be read, ``stop`` then writes nothing.
        folder: that the paths of files are relative to; the recipe's own by default.
        popularity: count -> weight; the popularity of an item is the largest of its counts x weights.
        fields: ``title``, ``year``, ``text`` or ``attributes.NAME`` -> where it comes from.
    """

    format: Literal[1] = FORMAT
    name: str = ""
    ids: tuple[str, ...] = ()
    on_bad: Literal["skip", "stop"] = "skip"
    folder: Path = Path()
    sources: tuple[Source, ...] = Field(min_length=1)
    resolve: ResolveConfig = ResolveConfig()
    popularity: dict[str, Weight] = Field(default_factory=dict)
    fields: dict[str, FieldConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> CorpusRecipe:
        wrong = [
            *self._twice(),
            *self._unknown_ids(),
            *self._unknown_counts(),
            *self._wrong_fields(),
            *self._unknown_facts(),
        ]
        if wrong:
            raise ValueError("\n  ".join(wrong))
        return self

    def _twice(self) -> Iterator[str]:
        names = [source.name for source in self.sources]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"sources: two are called {name!r}; give each a name of its own"
        for name in sorted({name for name in self.ids if self.ids.count(name) > 1}):
            yield f"ids: {name!r} stands there twice; leave one out"

    def _unknown_ids(self) -> Iterator[str]:
        known = frozenset().union(*(source.namespaces() for source in self.sources))
        for name in sorted(set(self.ids) - known):
            yield f"ids: no source has ids of {name!r}{_among(name, known)}"

    def _unknown_counts(self) -> Iterator[str]:
        known = frozenset().union(*(source.counts() for source in self.sources))
        for name in sorted(set(self.popularity) - known):
            yield f"popularity.{name}: no source counts it{_among(name, known)}"

    def _wrong_fields(self) -> Iterator[str]:
        names = [source.name for source in self.sources]
        known = {
            *FIELDS,
            ATTRIBUTES + OTHER_TITLES,
            *(ATTRIBUTES + name for source in self.sources for name in source.attributes()),
        }
        for field, config in self.fields.items():
            if field not in known:
                yield f"fields.{field}: no source gives it{_among(field, known)}"
            for name in config.sources:
                if name not in names:
                    yield f"fields.{field}.from: there is no source {name!r}{_among(name, names)}"
            if field in FIELDS and (config.combine == "all" or config.max is not None):
                yield f"fields.{field}: has one value; leave combine and max out, they are for {ATTRIBUTES}NAME"

    def _unknown_facts(self) -> Iterator[str]:
        """Names that the recipe itself says; the usual ones are for many catalogues, and need not be there."""
        known = frozenset().union(*(source.attributes() for source in self.sources))
        said = {"facts": self.resolve.facts, "numbers": tuple(self.resolve.numbers)}
        for key in sorted(self.resolve.model_fields_set & said.keys()):
            for name in said[key]:
                if name not in known:
                    yield f"resolve.{key}: no source gives the attribute {name!r}{_among(name, known)}"

    def paths_of(self, source: SourceConfig) -> dict[str, Path]:
        """Name of each file of a source -> where it lies."""
        return {name: self.folder / path for name, path in source.named_files().items()}


def load_corpus_recipe(path: str | Path, *, folder: Path | None = None) -> CorpusRecipe:
    """Read a recipe; its folder is made absolute, and it is named after the file unless it has a name.

    Args:
        folder: of the dumps, in place of the recipe's.
    Raises:
        SettingsError: the file is missing, not TOML, of a later format, or has unknown or wrong values; all of them
            are listed.
    """
    path = Path(path)
    recipe = parse_corpus_recipe(read_recipe_toml(path), source=str(path))
    base = path.resolve().parent / recipe.folder if folder is None else folder
    return recipe.model_copy(update={"name": recipe.name or path.stem, "folder": base.resolve()})


def parse_corpus_recipe(values: Mapping[str, Any], *, source: str) -> CorpusRecipe:
    """A recipe from the values of a file; `source` names it in errors. Raises as `load_corpus_recipe`."""
    if "sources" not in values and (found := sorted({"source", "data_set", "system", "judge"} & values.keys())):
        raise SettingsError(
            f"the recipe {source!r} has {found[0]!r} and no [[sources]]: it does not look like a recipe of "
            "`rarec corpus`; docs/corpus.md describes one"
        )
    return checked(CorpusRecipe, values, source=source)


def check_corpus_files(recipe: CorpusRecipe) -> None:
    """Refuse a recipe whose files are not there, before anything long is begun.

    Raises:
        SettingsError: files are missing; all are listed, with the keys that name them.
    """
    wrong = []
    for source in recipe.sources:
        for name, path in recipe.paths_of(source).items():
            if path.is_file():
                continue
            remedy = "run `rarec corpus fetch` with this recipe" if name in source.urls else "check the path"
            what = "is no file" if path.exists() else "is not there"
            wrong.append(f"  sources ({source.name}).files.{name}: {str(path)!r} {what}; {remedy}")
    if wrong:
        raise SettingsError("\n".join([f"files of the recipe {recipe.name!r} are missing:", *wrong]))


def _among(word: str, known: Collection[str]) -> str:
    """What there is, and what may have been meant."""
    close = difflib.get_close_matches(word, known, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else "."
    return f"{guess} There are {', '.join(sorted(known)) or 'none'}"
