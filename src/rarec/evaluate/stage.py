"""One data set of a run: the predictions of its systems, each computed once and kept in parts."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.build import Workshop, build, check_remote
from rarec.evaluate.context import DataContext
from rarec.evaluate.failures import note_of, remote, stop_if_dead, warning_of
from rarec.evaluate.folder import Parts
from rarec.evaluate.fusion import fuse, learn_weights, oracle_union, tuning_rows
from rarec.evaluate.gold import Gold
from rarec.evaluate.llm_systems import LLMAlone
from rarec.evaluate.predict import answers_of, chunks, predict
from rarec.evaluate.predictions import Call, Predictions
from rarec.evaluate.protocols import EvaluationProtocol, Scope
from rarec.evaluate.recipe import DataSetConfig, Recipe
from rarec.evaluate.recorded import recorded_predictions
from rarec.evaluate.recorded_lists import RecordedLists, read_recorded_lists
from rarec.evaluate.repeated import Repeated
from rarec.evaluate.score import rows_of
from rarec.evaluate.system_configs import (
    COMMON,
    FileSystem,
    FusionSystem,
    OracleSystem,
    RecordedSystem,
    SystemConfig,
)
from rarec.evaluate.systems import GeneratingSystem, System
from rarec.evaluate.user_file import read_user_predictions
from rarec.types import ItemId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One system, over one catalogue, with one seed, for one split."""

    config: SystemConfig
    scope: Scope
    seed: int | None
    split: str


class Stage:
    """Computes what a recipe asks of one data set.

    Args:
        inputs: hashes of what decides the predictions beside the recipe: ``data`` of the data set's files,
            ``tuning`` of those that weights are tuned on, ``bundle``, and others by the path of the file.
        answers: folder for the answers of language models.
    """

    def __init__(
        self, recipe: Recipe, data: DataContext, *, parts: Parts, inputs: Mapping[str, str], answers: Path | None
    ) -> None:
        self.recipe, self.data = recipe, data
        self._parts, self._inputs, self._answers = parts, inputs, answers
        self._configs = {config.row: config for config in recipe.of(data.config.name)}
        self._done: dict[Job, Predictions] = {}
        self._built: dict[tuple[str, Scope, int], System | GeneratingSystem] = {}
        self._golds: dict[str, Gold] = {}

    @cached_property
    def protocols(self) -> tuple[EvaluationProtocol, ...]:
        return self.recipe.run.parsed_protocols()

    @property
    def split(self) -> str:
        return self.data.config.split

    def gold(self, split: str | None = None) -> Gold:
        """The gold of a split, by default of the one that is evaluated."""
        split = split or self.split
        if split not in self._golds:
            corpus = any(protocol.catalogue == "corpus" for protocol in self.protocols)
            self._golds[split] = self.data.gold(split, corpus=corpus)
        return self._golds[split]

    def jobs(self) -> list[Job]:
        """Everything that is asked, in the order of the recipe."""
        scopes = dict.fromkeys(protocol.catalogue for protocol in self.protocols)
        return [
            Job(config, scope, seed, self.split)
            for scope in scopes
            for config in self._configs.values()
            if config.show and self._can(config, scope)
            for seed in self._seeds(config)
        ]

    def check(self) -> None:
        """Read files of predictions and recordings, and find before the work what else scoring would find.

        Raises:
            InputError: a protocol has no rows or no system, or a file does not fit the gold.
            LLMUnavailable, SettingsError: a language model that is to be asked has no key, or one that no key can be.
        """
        for protocol in self.protocols:
            rows_of(self.gold(), protocol)
            if not any(job.scope == protocol.catalogue for job in self.jobs()):
                raise InputError(
                    f"no system of the recipe ranks the catalogue of {protocol.name!r} on {self.data.config.name!r}; "
                    "add one, or leave the protocol out"
                )
        for job in self.jobs():
            if isinstance(job.config, FileSystem) or _is_recorded(job.config, "ranks", "lists"):
                self.predictions(job)
            if (llm := remote(job.config)) is not None and self._parts.load(self.key(job), job.config.row) is None:
                check_remote(job.config.row, llm, self._answers)

    def run(self) -> tuple[Predictions, ...]:
        """All predictions, in the order of `jobs`. Raises InputError if predictions or a system do not fit."""
        return tuple(self.predictions(job) for job in self.jobs())

    def predictions(self, job: Job) -> Predictions:
        """Of one job; those that it needs are computed before."""
        if job not in self._done:
            key = self.key(job)
            kept = not _is_quick(job.config)
            found = self._parts.load(key, job.config.row) if kept else None
            if found is None:
                found = replace(self._computed(job, key), system=job.config.row, seed=job.seed)
                if kept and not _has_failed(found) and not self._lost(job):
                    self._parts.save(key, found)
                    self._parts.drop_portions(key)
            self._done[job] = self._noted(job, found)
        return self._done[job]

    def _lost(self, job: Job) -> list[str]:
        """Rows that a job is made of and that lack answers: what is made of them is no part to keep either."""
        needs = [need for split in self._splits(job) for need in self._needs(job, split)]
        return [n.config.row for n in needs if n in self._done and (_has_failed(self._done[n]) or self._lost(n))]

    def _noted(self, job: Job, found: Predictions) -> Predictions:
        notes = [found.note, note_of(job.config, found)]
        if lost := self._lost(job):
            notes.append(f"answers are missing in {', '.join(map(repr, dict.fromkeys(lost)))}, see there")
        if remote(job.config) is not None and (warning := warning_of(found)):
            log.warning("%s, %s: %s", self.data.config.name, _stage_name(job), warning)
        return replace(found, note="; ".join(filter(None, notes)))

    def key(self, job: Job) -> str:
        """A hash of everything that decides the predictions of a job; names of rows do not."""
        config = job.config
        files = [str(path) for path in self._files(config)]
        content = {
            "data": [self._inputs["data"], job.split, self.data.config.training],
            "tuning": self._inputs["tuning"] if job.split != self.split else None,
            "system": config.model_dump(mode="json", exclude={*COMMON, *_naming(config)}),
            "custom": config.row if config.kind == "custom" else None,
            "needs": [self.key(need) for split in self._splits(job) for need in self._needs(job, split)],
            "files": [self._inputs[path] for path in files],
            "bundle": self._inputs["bundle"] if config.bundled() else None,
            "embedder": self._embedder(),
            "layout": self.data.config.layout,
            "mentions": [self.data.config.mentions, self.data.config.sentiments],
            "asked": [job.scope, job.seed, self.recipe.run.depth],
            "seen": sorted({p.seen for p in self.protocols}) if isinstance(config, RecordedSystem) else None,
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]

    # what belongs to a job

    def _files(self, config: SystemConfig) -> tuple[Path, ...]:
        return input_files(self.data.config, config)

    def _embedder(self) -> object:
        given = self.data.resources.embedder
        return self.recipe.embedder.model_dump(mode="json") if given is None else given.name

    def _config(self, row: str) -> SystemConfig:
        if row not in self._configs:
            raise InputError(f"{row!r} does not run on {self.data.config.name!r}, but another system needs it there")
        return self._configs[row]

    def _can(self, config: SystemConfig, scope: Scope) -> bool:
        return config.ranks(scope) and all(self._can(self._config(row), scope) for row in config.needs())

    def _varies(self, config: SystemConfig) -> bool:
        return config.varies or any(self._varies(self._config(row)) for row in config.needs())

    def _seeds(self, config: SystemConfig) -> tuple[int | None, ...]:
        return self.recipe.run.seeds if self._varies(config) else (None,)

    def _splits(self, job: Job) -> tuple[str, ...]:
        learned = isinstance(job.config, FusionSystem) and job.config.method == "learned"
        return (job.split, self.data.config.tuning) if learned else (job.split,)

    def _needs(self, job: Job, split: str) -> list[Job]:
        configs = [self._config(row) for row in job.config.needs()]
        return [Job(c, job.scope, job.seed if self._varies(c) else None, split) for c in configs]

    # computing

    def _computed(self, job: Job, key: str) -> Predictions:
        config = job.config
        if isinstance(config, FileSystem):
            self._only_evaluated(job)
            return read_user_predictions(
                config.path, self.gold(), system=config.row, depth=config.depth or self.recipe.run.depth,
                catalogue=config.catalogue, empty=config.empty,
            )  # fmt: skip
        if isinstance(config, RecordedSystem):
            self._only_evaluated(job)
            if config.form == "lists":
                return self._recorded_lists(config).predictions()
            return self._recorded(config) if config.form == "ranks" else self._predicted(job, key)
        if isinstance(config, FusionSystem):
            return self._fused(job, config)
        if isinstance(config, OracleSystem):
            a, b = (self.predictions(need) for need in self._needs(job, job.split))
            return oracle_union(a, b, self.gold(job.split))
        return self._predicted(job, key)

    def _only_evaluated(self, job: Job) -> None:
        if job.split != self.split:
            raise InputError(
                f"{job.config.row!r} has predictions for {self.split!r} only, so no weights can be learned with it on "
                f"{job.split!r}; use the method 'rrf', with weights if you know them"
            )

    def _recorded_lists(self, config: RecordedSystem) -> RecordedLists:
        data = self.data.config
        return read_recorded_lists(
            _named(data.recorded_outputs, config, "recorded_outputs"),
            self.data.examples,
            data_set=data.name,
            name=config.recording,
            mapping=data.folder / "mapping" / "crs_items.parquet",
            items=self.data.items,
        )

    def _recorded(self, config: RecordedSystem) -> Predictions:
        path = _named(self.data.config.recorded_ranks, config, "recorded_ranks")
        treatments = {protocol.seen for protocol in self.protocols}
        return recorded_predictions(
            path, self.data.examples, data_set=self.data.config.name, name=config.recording, treatments=treatments
        )

    def _fused(self, job: Job, config: FusionSystem) -> Predictions:
        members = [self.predictions(need) for need in self._needs(job, job.split)]
        if config.method != "learned":
            return fuse(members, self.gold(job.split), method=config.method, weights=config.weights, c=config.c)
        tuning = self.data.config.tuning
        before = [self.predictions(need) for need in self._needs(job, tuning)]
        rows = tuning_rows(before, self.gold(tuning))
        learned = learn_weights(rows.lists, rows.targets)
        fused = fuse(members, self.gold(job.split), weights=learned.weights, c=learned.c)
        note = f"{fused.note}; learned on {learned.rows} rows of {tuning!r}, N@{learned.k} {learned.ndcg:.4f} there"
        return replace(fused, note=note)

    def _system(self, row: str, job: Job) -> System | GeneratingSystem:
        """The built system of a row; what cannot be built repeats its predictions."""
        config = self._config(row)
        seed = (job.seed or 0) if self._varies(config) else 0
        at = (row, job.scope, seed)
        if isinstance(config, (FileSystem, FusionSystem, OracleSystem)) or _is_recorded(config, "ranks", "lists"):
            own_seed = job.seed if self._varies(config) else None
            return Repeated(self.predictions(Job(config, job.scope, own_seed, job.split)))
        if isinstance(config, RecordedSystem):
            return LLMAlone(self._recorded_lists(config).replay(), self.data.catalogue(job.scope).items)
        if at not in self._built:
            workshop = Workshop(
                self.data.catalogue(job.scope), seed, lambda other: self._system(other, job), self._answers
            )
            self._built[at] = build(config, workshop)
        return self._built[at]

    def _predicted(self, job: Job, key: str) -> Predictions:
        system = self._system(job.config.row, job)
        examples = self.data.turns(job.split)
        if isinstance(system, GeneratingSystem):
            return self._asked(job, key, system, examples)
        return predict(
            system,
            examples,
            catalogue=self.data.catalogue(job.scope).ids,
            depth=self.recipe.run.depth,
            scope=job.scope,
            seed=job.seed,
            progress=lambda _, done, total: self.data.tell(_stage_name(job), done, total),
        )

    def _asked(self, job: Job, key: str, system: GeneratingSystem, examples: Sequence[Example]) -> Predictions:
        """Portion by portion, each kept, because answers take long and may cost money."""
        lists: dict[str, tuple[ItemId, ...]] = {}
        calls: dict[str, Call] = {}
        first = True
        for chunk in chunks(system, examples):
            portion = f"{key}-{len(lists)}"
            found = self._parts.load(portion, job.config.row)
            if found is None:
                found = self._portion(job, system, chunk)
                stop_if_dead(job.config, list(found.calls.values()), first=first)
                first = False
                if not _has_failed(found):
                    self._parts.save(portion, found)
            lists |= found.lists
            calls |= found.calls
            self.data.tell(_stage_name(job), len(lists), len(examples))
        return Predictions(
            job.config.row, self.recipe.run.depth, lists, calls=calls, seed=job.seed, catalogue=job.scope
        )

    def _portion(self, job: Job, system: GeneratingSystem, chunk: Sequence[Example]) -> Predictions:
        ids, depth = self.data.catalogue(job.scope).ids, self.recipe.run.depth
        answers = answers_of(system, chunk, catalogue=ids, depth=depth)
        pairs = list(zip(chunk, answers, strict=True))
        return Predictions(
            job.config.row,
            depth,
            {example.id: answer.items for example, answer in pairs},
            calls={example.id: answer.call for example, answer in pairs if answer.call is not None},
            seed=job.seed,
            catalogue=job.scope,
        )


def input_files(data_set: DataSetConfig, config: SystemConfig) -> tuple[Path, ...]:
    """The files that decide what a system answers on a data set, beside those of the data set itself.

    Raises:
        InputError: a recorded model, and the data set names no recording.
    """
    if not isinstance(config, RecordedSystem):
        return config.files()
    if config.form == "ranks":
        return (_named(data_set.recorded_ranks, config, "recorded_ranks"),)
    return (_named(data_set.recorded_outputs, config, "recorded_outputs"),)


def _named(path: Path | None, config: SystemConfig, field: str) -> Path:
    if path is None:
        raise InputError(f"{config.row!r} is a recorded model; give the file of recordings ({field})")
    return path


def _naming(config: SystemConfig) -> set[str]:
    """Fields that only name other rows or files; what they stand for is hashed."""
    return {"of", "members", "path"} & set(type(config).model_fields)


def _is_quick(config: SystemConfig) -> bool:
    """Whether computing it costs no more than reading what was kept."""
    return isinstance(config, (FileSystem, OracleSystem)) or _is_recorded(config, "ranks", "lists")


def _has_failed(predictions: Predictions) -> bool:
    """Whether a call failed; such a part is not kept, because the server may be back the next time."""
    return any(call.degraded for call in predictions.calls.values())


def _is_recorded(config: SystemConfig, *forms: str) -> bool:
    return isinstance(config, RecordedSystem) and config.form in forms


def _stage_name(job: Job) -> str:
    parts = [job.config.row]
    if job.scope == "corpus":
        parts.append("corpus")
    if job.seed is not None:
        parts.append(f"seed {job.seed}")
    return ", ".join(parts)


__all__ = ["Job", "Stage", "input_files"]
