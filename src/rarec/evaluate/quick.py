"""An evaluation from a file and a few names, and the flat table that it gives; the work is that of a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rarec.conversations import DATA_SETS
from rarec.conversations.lines import json_records
from rarec.errors import InputError
from rarec.evaluate.context import DataContext, Factory, Resources
from rarec.evaluate.predict import Progress
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.provenance import surroundings
from rarec.evaluate.recipe import Recipe, parse_recipe
from rarec.evaluate.results import Block, SystemResult
from rarec.evaluate.runner import Run, run_recipe
from rarec.evaluate.score import rows_of, target_ranks
from rarec.files import write_text

MEASURES = ("R@1", "R@5", "R@10", "R@20", "R@50", "N@10")
RECORDED_MODELS = ("gpt-4", "gpt-3.5-turbo", "vicuna", "baize")
PLAIN = ("popularity", "co-occurrence", "embedding-similarity", "random", "repeat-context")
MORE = ("bm25", "item-knn", "ease", "sasrec")
TRAINED = ("retriever", "retriever+ranker")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings:
    """One evaluation.

    Attributes:
        eval_file: examples (JSONL, .zst, .gz).
        data_root: the folder with corpus/, mapping/ and the data sets.
        systems: names in the order of the table: baselines, trained systems, recorded models ("gpt-4", or
            "gpt-4/p2" for another prompt), and the names in `factories`.
        ranks_file: recorded ranks; needed by recorded models only.
        factories: name -> what builds a system of the user's own; the same name replaces one of ours.
        data_set: None takes it from the examples' ids ("redial_3" is of redial).
        protocols: one block each.
        seed: of the bootstrap and of random systems.
        against: a system that every other is compared with.
        measures, headline: see `rarec.evaluate.score.Options`.
    """

    eval_file: Path
    data_root: Path
    systems: tuple[str, ...]
    ranks_file: Path | None = None
    bundle: Path | None = None
    factories: Mapping[str, Factory] = field(default_factory=dict[str, Factory])
    data_set: str | None = None
    protocols: tuple[str, ...] = ("new-targets",)
    seed: int = 0
    samples: int = 2000
    level: float = 0.95
    against: str | None = None
    measures: tuple[str, ...] = MEASURES
    headline: str = "N@10"


@dataclass(frozen=True, slots=True)
class FlatTable:
    """One line a system and protocol: what scripts read.

    Attributes:
        run: the run behind it.
        meta: what it was computed from.
    """

    run: Run
    meta: Mapping[str, Any]

    @property
    def blocks(self) -> Sequence[Block]:
        """One a protocol."""
        return self.run.results.blocks

    def rows(self) -> list[dict[str, Any]]:
        """``{"system", "protocol", "n", <measures>, "ci"}``, and ``"vs"`` where there is a comparison."""
        against = self.meta["against"]
        return [_row(block, system, against) for block in self.blocks for system in block.systems]

    def row(self, system: str, *, protocol: str = "new-targets") -> dict[str, Any]:
        """One of `rows`. Raises InputError if there is none."""
        found = [row for row in self.rows() if (row["system"], row["protocol"]) == (system, protocol)]
        if not found:
            raise InputError(f"no row of {system!r}; there are {[row['system'] for row in self.rows()]!r}")
        return found[0]

    def to_json(self) -> str:
        """``{"rows": [...], "meta": {...}}``, indented, with a newline at the end."""
        document = {"rows": self.rows(), "meta": dict(self.meta)}
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def predictions(self) -> Iterator[dict[str, Any]]:
        """The rank of every row: example, dialogue, target, system, protocol and rank, which is 0 for a miss."""
        ((gold, predictions),) = self.run.data_sets
        for block in self.blocks:
            rows = rows_of(gold, EvaluationProtocol.parse(block.protocol))
            for given in predictions:
                if given.catalogue != rows.protocol.catalogue:
                    continue
                pairs = zip(rows.pair_example, rows.targets, target_ranks(given, rows).tolist(), strict=True)
                for at, target, rank in pairs:
                    example = rows.examples[at]
                    yield {
                        "example": example.id, "dialogue": example.dialogue, "target": target,
                        "system": given.system, "protocol": block.protocol, "rank": rank,
                    }  # fmt: skip

    def write_predictions(self, path: str | Path) -> None:
        """Write `predictions` as JSONL. Raises StoreError if the file cannot be written."""
        write_text(Path(path), "".join(f"{json.dumps(row)}\n" for row in self.predictions()))


def run_evaluation(settings: EvaluateSettings, *, progress: Progress | None = None) -> FlatTable:
    """Read the examples, build the systems, and give the table with what it was computed from.

    Raises:
        InputError: a file is missing or wrong, a name is unknown, or a system or recording does not fit.
        MissingExtra: a package for reading the files, or for a system, is not installed.
    """
    resources = Resources(bundle=settings.bundle, custom=settings.factories, progress=progress)
    recipe = recipe_of(settings, resources)
    run = run_recipe(recipe, resources=resources)
    return FlatTable(run, _meta(settings, recipe, run))


def recipe_of(settings: EvaluateSettings, resources: Resources | None = None) -> Recipe:
    """The recipe that says the same. Raises InputError as `run_evaluation` does, before any work."""
    _check_names(settings)
    name = settings.data_set or infer_data_set(settings.eval_file)
    data_set: dict[str, Any] = {
        "name": name,
        "folder": settings.data_root,
        "examples": settings.eval_file.resolve(),
        "split": settings.eval_file.name,
        "training": "",
        "recorded_ranks": None if settings.ranks_file is None else settings.ranks_file.resolve(),
    }
    run = {
        "seed": settings.seed, "seeds": [settings.seed], "measures": settings.measures, "headline": settings.headline,
        "samples": settings.samples, "level": settings.level, "against": settings.against, "slices": False,
        "protocols": settings.protocols, "depth": max(int(m.partition("@")[2]) for m in settings.measures),
    }  # fmt: skip
    systems = [_system(settings, system) for system in settings.systems]
    if "retriever+ranker" in settings.systems and "retriever" not in settings.systems:
        systems.append({"kind": "retriever", "show": False})
    recipe = parse_recipe({"run": run, "data_set": [data_set], "system": systems}, source="flags")
    (config,) = recipe.data_sets
    if "train" not in DataContext(config, resources or Resources()).source.splits():
        return recipe
    return recipe.model_copy(update={"data_sets": (config.model_copy(update={"training": "train"}),)})


def infer_data_set(eval_file: Path) -> str:
    """The data set that an evaluation file's first example id begins with.

    Raises:
        InputError: the file is missing, empty or wrong, or the id begins with no known data set.
    """
    for record in json_records(eval_file):
        example = record.name("example_id")
        for data_set in DATA_SETS:
            if example.startswith(f"{data_set}_"):
                return data_set
        raise record.error("example_id", f"{example!r} begins with none of {DATA_SETS}; name the data set")
    raise InputError(f"{str(eval_file)!r} has no examples")


def _check_names(settings: EvaluateSettings) -> None:
    if not settings.systems:
        raise InputError("no systems were named; for example 'popularity' or 'co-occurrence'")
    if not settings.protocols:
        raise InputError("no protocol was given; use 'new-targets' or 'all-targets'")
    known = (*PLAIN, *TRAINED, *MORE, *RECORDED_MODELS, *settings.factories)
    for name in settings.systems:
        if settings.systems.count(name) > 1:
            raise InputError(f"two systems are named {name!r}; give each its own name")
        if name in settings.factories:
            continue
        if name.partition("/")[0] in RECORDED_MODELS:
            if settings.ranks_file is None:
                raise InputError(f"{name!r} is a recorded model; give the file of recorded ranks")
        elif name not in known:
            raise InputError(f"unknown system {name!r}; use {', '.join(dict.fromkeys(known))}")
    if settings.against is not None and settings.against not in settings.systems:
        raise InputError(f"cannot compare against {settings.against!r}: the systems are {list(settings.systems)!r}")


def _system(settings: EvaluateSettings, name: str) -> dict[str, Any]:
    if name in settings.factories:
        return {"kind": "custom", "name": name}
    model, _, prompt = name.partition("/")
    if model in RECORDED_MODELS:
        return {"kind": "recorded", "model": model, "prompt": prompt or "general"}
    if name == "retriever+ranker":
        return {"kind": "ranked", "of": "retriever", "name": name}
    return {"kind": name}


def _row(block: Block, system: SystemResult, against: str | None) -> dict[str, Any]:
    figures = system.figures
    row: dict[str, Any] = {"system": system.system, "protocol": block.protocol, "n": block.rows}
    row |= {measure: figure.value for measure, figure in figures.items()}
    row["ci"] = {m: None if figure.low is None else [figure.low, figure.high] for m, figure in figures.items()}
    if against not in (None, system.system):
        other = block.system(str(against)).figures
        told = [m for m in figures if figures[m].value is not None and other[m].value is not None]
        pairs = [block.pair(system.system, str(against), measure) for measure in told]
        row["vs"] = {against: {pair.measure: {"delta": pair.delta, "ci": [pair.low, pair.high]} for pair in pairs}}
    return row


def _meta(settings: EvaluateSettings, recipe: Recipe, run: Run) -> dict[str, Any]:
    blocks = run.results.blocks
    around = surroundings()
    return {
        "seed": settings.seed,
        "samples": settings.samples,
        "level": settings.level,
        "examples": {block.protocol: block.examples for block in blocks},
        "dialogues": {block.protocol: block.dialogues for block in blocks},
        "unmapped_targets": blocks[0].unmapped,
        "catalogue": blocks[0].catalogue,
        "data_set": recipe.data_sets[0].name,
        "file": settings.eval_file.name,
        "ranks_file": None if settings.ranks_file is None else settings.ranks_file.name,
        "against": settings.against,
        "date": around["date"],
        "versions": around["versions"],
    }
