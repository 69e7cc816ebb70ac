"""A recipe -> figures, and the folder that they can be computed from again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rarec.errors import BundleError, InputError, MissingExtra
from rarec.evaluate.context import DataContext, Resources
from rarec.evaluate.folder import (
    CONFIG,
    EXAMPLES,
    ITEMS,
    METRICS,
    PREDICTIONS,
    REPORT,
    NoParts,
    PartFiles,
    Parts,
    RunFolder,
    code_digest,
    read_config,
    sha256_of,
    sha256_of_folder,
)
from rarec.evaluate.gold import Gold
from rarec.evaluate.predict import Progress
from rarec.evaluate.predictions import Predictions
from rarec.evaluate.provenance import fingerprints, first_difference, surroundings
from rarec.evaluate.recipe import Recipe, parse_recipe
from rarec.evaluate.results import Block, Results
from rarec.evaluate.score import score
from rarec.evaluate.stage import Stage, input_files

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """What came out.

    Attributes:
        data_sets: gold and predictions of each data set, from which `results` follow.
        older: rows that were taken from parts made by other code.
    """

    results: Results
    data_sets: tuple[tuple[Gold, tuple[Predictions, ...]], ...]
    older: tuple[str, ...] = ()


def run_recipe(
    recipe: Recipe, *, resources: Resources | None = None, folder: RunFolder | None = None, page: bool = True
) -> Run:
    """Compute everything that a recipe asks for.

    With a folder, finished parts are kept in it and taken from it, and the gold, the predictions and
    ``metrics.json`` are written at the end. Parts with a failed call of a language model are not kept: they are
    asked for again the next time.

    Args:
        page: also write report.html.
    Raises:
        InputError: a data set, split, file or name is unknown or wrong, or predictions do not fit the gold.
        StoreError: the folder cannot be written.
        LLMUnavailable: a language model has no key, or answered none of the calls of a portion.
        RarecError: others, as the systems raise them.
    """
    resources = resources or Resources()
    contexts = [DataContext(config, resources, embedder=recipe.embedder) for config in recipe.data_sets]
    hashes = [_hashes(recipe, context) for context in contexts]
    config = _config(recipe, contexts, hashes)
    parts: Parts = NoParts()
    if folder is not None:
        parts = PartFiles(folder.parts)
    answers = None if folder is None else folder.parts
    stages = [
        Stage(recipe, context, parts=parts, inputs=inputs.keys, answers=answers)
        for context, inputs in zip(contexts, hashes, strict=True)
    ]
    for stage in stages:
        stage.check()
    if folder is not None:  # what is refused before leaves the folder as it was
        folder.begin(config)
    data_sets: list[tuple[Gold, tuple[Predictions, ...]]] = []
    for stage in stages:
        data_sets.append((stage.gold(), stage.run()))
        if folder is not None:
            _write_data_set(folder, *data_sets[-1])
    blocks = scored(recipe, data_sets, progress=resources.progress)
    older = tuple(sorted(parts.older)) if isinstance(parts, PartFiles) else ()
    meta = _meta(config, older)
    if recipe.run.highlight:
        meta["highlight"] = list(recipe.run.highlight)
    if folder is not None:
        meta["files"] = _digests(folder.root, recipe)
    results = Results(blocks=blocks, meta=meta)
    if folder is not None:
        finish(folder.root, results, page=page, against=recipe.run.against)
    return Run(results, tuple(data_sets), older)


def finish(root: Path, results: Results, *, page: bool = True, against: str | None = None) -> None:
    """Write the page, and last the figures. Without the packages of the page there is only a warning.

    Args:
        against: the system that others are compared with on the page, in the tables that have it.
    Raises:
        StoreError: a file cannot be written.
    """
    if page:
        from rarec.evaluate.reports.html import write_html

        try:
            shown = {system.system for block in results.blocks for system in block.systems}
            write_html(
                results,
                root / REPORT,
                title=str(results.meta.get("name", "")),
                reference=against if against in shown else None,
                coloured=[name for name in results.meta.get("highlight", ()) if name in shown],
            )
        except MissingExtra as error:
            log.warning("no %s is written: %s", REPORT, error)
    results.write(root / METRICS)


def scored(
    recipe: Recipe, data_sets: Sequence[tuple[Gold, Sequence[Predictions]]], *, progress: Progress | None = None
) -> tuple[Block, ...]:
    """The blocks of all data sets and protocols. Raises InputError as `score` does."""
    blocks: list[Block] = []
    protocols = recipe.run.parsed_protocols()
    for gold, predictions in data_sets:
        for number, protocol in enumerate(protocols, start=1):
            options = recipe.run.options()
            if options.against not in {p.system for p in predictions if p.catalogue == protocol.catalogue}:
                options = replace(options, against=None)  # not every system runs on every data set and catalogue
            blocks += score(gold, predictions, protocols=[protocol], options=options)
            if progress is not None:
                progress(f"{gold.data_set}: figures", number, len(protocols))
    return tuple(blocks)


def read_run(root: str | Path) -> tuple[Recipe, Run]:
    """The recipe and the outcome of a finished run, as they are in its folder.

    Raises:
        InputError: the run is not finished, or a file is missing, damaged, or not the one that the run wrote.
    """
    from rarec.evaluate.stored import read_gold, read_predictions

    root = Path(root)
    config = read_config(root)
    if not (root / METRICS).exists():
        raise InputError(f"the run in {str(root)!r} is not finished; run its recipe again to go on")
    results = Results.read(root / METRICS)
    recipe = parse_recipe(config.get("recipe", {}), source=str(root / CONFIG))
    for name, digest in _digests(root, recipe).items():
        if results.meta.get("files", {}).get(name) != digest:
            raise InputError(f"{str(root / name)!r} is not what the run wrote; run its recipe again")
    data_sets = []
    for data_set in recipe.data_sets:
        folder = root / data_set.name
        data_sets.append((read_gold(folder), read_predictions(folder / PREDICTIONS)))
    return recipe, Run(results, tuple(data_sets))


@dataclass(frozen=True, slots=True)
class Replay:
    """Figures that were computed again.

    Attributes:
        difference: where they first differ from those in the folder; None if they are identical.
        against: the system that the recipe compares with.
    """

    results: Results
    difference: str | None
    against: str | None = None


def replay(root: str | Path, *, progress: Progress | None = None) -> Replay:
    """Compute the figures of a folder again, from its gold and predictions alone.

    Raises:
        InputError: the run is not finished, or a file is missing or damaged.
    """
    recipe, run = read_run(root)
    again = Results(blocks=scored(recipe, run.data_sets, progress=progress), meta=run.results.meta)
    difference = first_difference(json.loads(again.to_json()), json.loads(run.results.to_json()))
    return Replay(again, difference, recipe.run.against)


# what decides the figures


@dataclass(frozen=True, slots=True)
class _Hashes:
    """Attributes:
    keys: what `Stage` asks for.
    files: for the record.
    """

    keys: dict[str, str]
    files: list[dict[str, Any]]


def _hashes(recipe: Recipe, context: DataContext) -> _Hashes:
    """Hash every input file; a missing one is found here, before the work."""
    root = context.config.folder
    files = fingerprints(context.files(), root=root)
    keys = {"data": _digest(files)}
    if _learns(recipe):
        tuning = fingerprints(context.source.files(context.config.tuning), root=root)
        keys["tuning"] = _digest(tuning)
        files += [one for one in tuning if one not in files]
    others: list[Path] = []
    for system in recipe.of(context.config.name):
        others += input_files(context.config, system)
        if system.kind == "custom" and system.row not in (context.resources.custom or {}):
            raise InputError(
                f"nobody gave a system {system.row!r}; there are {sorted(context.resources.custom or {})!r}"
            )
        if system.bundled():
            keys["bundle"] = _bundle_hash(context.resources)
    more = fingerprints(others, root=root)
    keys |= {str(path): one["sha256"] for path, one in zip(dict.fromkeys(others), more, strict=True)}
    files += more
    if "bundle" in keys:
        files.append({"path": "bundle", "sha256": keys["bundle"]})
    return _Hashes(keys, files)


def _digest(files: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _learns(recipe: Recipe) -> bool:
    return any(system.kind == "fusion" and system.method == "learned" for system in recipe.systems)


def _bundle_hash(resources: Resources) -> str:
    if resources.bundle is None:
        raise InputError("a system of this recipe is trained; name its bundle")
    if not resources.bundle.is_dir():
        raise BundleError(f"no bundle folder {str(resources.bundle)!r}; train one with: rarec train")
    return sha256_of_folder(resources.bundle)


def _config(recipe: Recipe, contexts: Sequence[DataContext], hashes: Sequence[_Hashes]) -> dict[str, Any]:
    names = [context.config.name for context in contexts]
    return {
        "name": recipe.run.name,
        "recipe": recipe.document(),
        "inputs": {name: one.files for name, one in zip(names, hashes, strict=True)},
        "code": code_digest(),
        **surroundings(),
    }


def _meta(config: Mapping[str, Any], older: Sequence[str]) -> dict[str, Any]:
    meta = {name: value for name, value in config.items() if name != "recipe"}
    return {**meta, "older_parts": list(older)} if older else meta


def _digests(root: Path, recipe: Recipe) -> dict[str, str]:
    """File -> sha256, of what the figures are computed from again. Raises InputError if one is missing."""
    names = [f"{data_set.name}/{name}" for data_set in recipe.data_sets for name in (EXAMPLES, ITEMS, PREDICTIONS)]
    return {name: sha256_of(root / name) for name in names}


def _write_data_set(folder: RunFolder, gold: Gold, predictions: Sequence[Predictions]) -> None:
    from rarec.evaluate.stored import write_gold, write_predictions

    place = folder.data_set(gold.data_set)
    place.mkdir(exist_ok=True)
    write_gold(place, gold)
    write_predictions(place / PREDICTIONS, predictions)


__all__ = ["Replay", "Run", "finish", "read_run", "replay", "run_recipe", "scored"]
