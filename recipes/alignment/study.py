"""Run a study of alignment: every learner with every judge, several seeds, and what becomes of it elsewhere.

    python recipes/alignment/study.py recipes/alignment/study.toml --data DATA

Each run is one of `rarec align`, with a folder of its own under --out. Runs that are finished are kept, so the same
command goes on after an interruption. docs/generate_alignment.py averages the figures of
all turns and makes tables of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from rarec.align.ledger import Ledger
from rarec.align.measuring import Examiner, measure_alone
from rarec.align.scorer import Scorer, reproducible
from rarec.alignment import AlignRecipe, Material, Resources, align, gather
from rarec.alignment.material import judge_content, judge_of
from rarec.alignment.reading import FIGURES
from rarec.alignment.recipe import identity, parse_align_recipe
from rarec.assembly import default_bundle
from rarec.errors import SettingsError
from rarec.files import write_text
from rarec.llm.metered import Metered
from rarec.retriever.bundle import load_retriever, read_manifest
from rarec.training import load_recipe, train_bundle


@dataclass(frozen=True, slots=True)
class Run:
    """One learner with one judge and one seed; `variant` is empty for the settings of the study itself."""

    judge: str
    learner: str
    seed: int
    variant: str
    recipe: AlignRecipe

    @property
    def folder(self) -> Path:
        """Under that of the study."""
        return Path(self.variant.replace(" ", "") or "main") / self.judge / self.learner / f"run-{self.seed}"


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` over `base`, table by table."""
    result = deepcopy(dict(base))
    for key, value in more.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and key in result else value
    return result


def runs_of(study: Mapping[str, Any], data: Path) -> list[Run]:
    """All runs, those of the first seed first, then learner by learner: an interrupted study lacks seeds or sizes."""
    found: list[Run] = []

    def add(judge: str, learner: str, seed: int, variant: str, more: Mapping[str, Any]) -> None:
        values = merged(study["base"], more)
        values |= {"judge": study["judges"][judge], "seeds": [seed], "name": f"{judge} {learner}"}
        values["learner"] = merged(study["learners"][learner], more.get("learner", {}))
        values["data"]["folder"] = str(data)
        found.append(Run(judge, learner, seed, variant, parse_align_recipe(values, source="study")))

    first, *others = study["seeds"]
    for seeds in ([first], others):
        for learner in study["learners"]:
            for seed in seeds:
                for judge in study["judges"]:
                    add(judge, learner, seed, "", {})
    for variant in study.get("variants", ()):
        more = {key: value for key, value in variant.items() if key not in ("name", "learners", "judges")}
        for judge in variant.get("judges", study["judges"]):
            for learner in variant["learners"]:
                add(judge, learner, first, variant["name"], more)
    return found


@cache
def material_of(bundle: Path, cache_file: Path, data: str) -> Material:
    """Read once a process; `data` is the data part of a recipe as JSON."""
    recipe = parse_align_recipe({"data": json.loads(data), "judge": {"kind": "local"}}, source="study")
    return gather(recipe, bundle=bundle, cache=cache_file, tell=lambda *_: None)


def material_for(run: Run, out: Path) -> Material:
    """Of a run's data and the bundle of the study."""
    return material_of(out / "start", out / "embeddings.sqlite", run.recipe.data.model_dump_json())


def check_same(run: Run, figures: Path) -> None:
    """Raises SettingsError if a finished run is of other settings than the study has now."""
    kept = parse_align_recipe(json.loads(figures.read_text(encoding="utf-8"))["recipe"], source=str(figures))
    if settings_of(kept) != settings_of(run.recipe):
        raise SettingsError(
            f"the run in {str(figures.parent)!r} is finished and has other settings than the study; delete its folder, "
            "or give the study another --out"
        )


def check_start(out: Path) -> None:
    """Raises SettingsError if the study has runs that started from another bundle than lies in its folder now."""
    note, start = out / "started_from.json", out / "start"
    weights = {kind: read_manifest(start, kind).sha256 for kind in ("retriever", "ranker")}
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) != weights:
        raise SettingsError(
            f"the bundle in {str(start)!r} is not the one that the runs beside it started from; bring that back, or "
            "give the study another --out"
        )
    write_text(note, json.dumps(weights) + "\n")


def settings_of(recipe: AlignRecipe) -> list[object]:
    """All that decides figures, wherever the data lie."""
    return [recipe.deciding(), recipe.seeds, recipe.loop.iterations, recipe.loop.patience, recipe.data.report_turns]


def carry_out(run: Run, out: Path, *, slim: bool) -> str:
    """Do one run unless it is finished; its name."""
    torch.set_num_threads(1)
    folder = out / run.folder
    if (folder / FIGURES).exists():
        check_same(run, folder / FIGURES)
    else:
        resources = Resources(bundle=out / "start", cache=out / "embeddings.sqlite", material=material_for(run, out))
        align(run.recipe, out=folder, resources=resources)
    if slim:
        for path in (*folder.glob("seed-*/state.safetensors"), *folder.glob("seed-*/ledger.jsonl")):
            path.unlink()
    return str(run.folder)


def serve(run: Run, out: Path, name: str, bundle: Path) -> str:
    """What another bundle would serve under the judge of a run, in a file of figures by turn.

    A file of other weights, another judge or other turns is made anew.
    """
    torch.set_num_threads(1)
    path, material = out / "served" / run.judge / f"{name}.json", material_for(run, out)
    turns = material.report[: run.recipe.data.report_turns]
    weights, deciding = read_manifest(bundle, "retriever").sha256, run.recipe.deciding()
    asked = identity(
        {part: deciding[part] for part in ("judge", "sets", "data")}, run.seed, len(turns), material.content,
        *judge_content(run.recipe, material.bundle), weights,
    )  # fmt: skip
    if asked_of(path) != asked:
        scorer = Scorer(load_retriever(bundle, embedder=material.embedder.name), material.stock, material.data.messages)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.with_name(f"{name}.{asked[:12]}.jsonl")  # of other weights it would be refused
        examiner = Examiner(replace(run.recipe.rollouts(run.seed), groups=1), Ledger(kept, recipe=asked))
        llm = Metered(judge_of(run.recipe, material))
        with reproducible():
            found = examiner.measure(scorer, turns, llm, at=0, name="served")
            alone = measure_alone(scorer, turns)
        figures = {
            "asked": asked,
            "weights": weights,
            "turns": [turn.turn.id for turn in turns],
            "judged": list(found.judged),
            "alone": list(alone),
            "held": list(found.held),
        }
        write_text(path, json.dumps(figures) + "\n")
        for left in (path.with_suffix(".jsonl"), *path.parent.glob(f"{name}.*.jsonl")):
            left.unlink(missing_ok=True)
    return f"{run.judge}: {name}"


def asked_of(path: Path) -> str:
    """What names the question that a served file answers; empty if there is none, or it does not say."""
    return str(json.loads(path.read_text(encoding="utf-8")).get("asked", "")) if path.exists() else ""


def others(study: Mapping[str, Any], runs: list[Run], out: Path) -> Iterator[tuple[Run, str, Path]]:
    """Bundles to put before judges that they were not aligned to, and the bundle that held nothing back."""
    first = {run.judge: run for run in runs if not run.variant and run.seed == study["seeds"][0]}
    for judge, run in first.items():
        yield run, "sft-all", default_bundle()
        for other in study["judges"]:
            for seed in study["seeds"]:
                if other != judge:
                    source = replace(run, judge=other, learner=study["transfer"], seed=seed)
                    yield run, f"{other}-{seed}", out / source.folder / f"seed-{seed}" / "bundle"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path, help="a study (TOML), such as recipes/alignment/study.toml")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/alignment"), help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at once, one thread each")
    parser.add_argument(
        "--slim", action="store_true", help="delete ledgers (0.4 GB a run) and checkpoints when a run ends"
    )
    options = parser.parse_args()
    study = tomllib.loads(options.study.read_text(encoding="utf-8"))
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    runs = runs_of(study, options.data.resolve())
    write_text(out / "study.json", json.dumps(study, indent=1) + "\n")  # for docs/generate_alignment.py
    if not (out / "start" / "ranker.json").exists():
        train_bundle(
            load_recipe(options.study.parent / study["training"]),
            data=options.data.resolve(),
            out=out / "start",
            work=out / "start-work",
            on_progress=lambda stage, done, total, _: print(f"\r{stage}: {done:,} of {total:,}   ", end="", flush=True),
        )
    check_start(out)
    # Spawned: a fork of a process whose torch has threads can hang.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for number, name in enumerate(pool.map(partial(carry_out, out=out, slim=options.slim), runs), start=1):
            print(f"{number} of {len(runs)} runs: {name}", flush=True)
        jobs = [(run, name, bundle) for run, name, bundle in others(study, runs, out) if bundle.exists()]
        done = pool.map(serve, [j[0] for j in jobs], [out] * len(jobs), [j[1] for j in jobs], [j[2] for j in jobs])
        for number, name in enumerate(done, start=1):
            print(f"{number} of {len(jobs)} bundles elsewhere: {name}", flush=True)
    print("Now: python docs/generate_alignment.py", out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
