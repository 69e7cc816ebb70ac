"""Write the tables and curves of docs/alignment.md from docs/results/alignment.json: python docs/generate_alignment.py

Given the folder of a study (recipes/alignment/study.py), the figures of its turns are first averaged into that file.
Only what stands between the two marks of the document is written; the prose around them is kept.
tests/unit/test_docs_alignment.py checks that it is not stale.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.alignment.figures import ALONE, HELD, JUDGED
from rarec.alignment.reading import SeedRun, read_figures, read_run
from rarec.evaluate.bootstrap import interval, paired_interval
from rarec.files import write_text
from rarec.retriever.bundle import read_manifest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "alignment.md"
FIGURES = ROOT / "docs" / "results" / "alignment.json"
CURVES = ROOT / "docs" / "results" / "alignment-curves.svg"
STUDY = ROOT / "recipes" / "alignment" / "study.toml"
START, END = "<!-- results: python docs/generate_alignment.py -->", "<!-- end of results -->"
CONTROL = "sft-longer"
ORDER = ("sft", "sft-all", CONTROL, "dpo", "grpo", "mult-dpo", "ca-pg")
LEARNERS = {
    "sft": "SFT, the start",
    "sft-all": "SFT on all conversations",
    "sft-longer": "SFT longer",
    "dpo": "DPO",
    "grpo": "GRPO",
    "mult-dpo": "Mult-DPO",
    "ca-pg": "CA-PG",
}
"""Learners by the name that they have in tables; others have the study's own, and come last."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Figures of the same turns under some weights, averaged over seeds, each of shape (turns,)."""

    turns: list[str]
    dialogues: list[str]
    judged: Floats
    alone: Floats
    held: Floats
    held20: Floats
    seeds: tuple[float, ...]

    def row(self) -> dict[str, Any]:
        """Averages, with the interval of the first."""
        low, high = interval(self.judged, self.dialogues, generator=np.random.default_rng(0))
        return {
            "judged": float(self.judged.mean()),
            "low": low,
            "high": high,
            "alone": float(self.alone.mean()),
            "held": float(self.held.mean()),
            "held20": float(self.held20.mean()),
            "seeds": len(self.seeds),
            "between seeds": float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None,
        }

    def over(self, other: Turns) -> dict[str, float]:
        """The gain over other weights, paired by dialogue. Raises ValueError if these have other turns."""
        if self.turns != other.turns:
            raise ValueError("learners of one judge have other turns; run the study again")
        low, high = paired_interval(self.judged, other.judged, self.dialogues, generator=np.random.default_rng(0))
        gain, base = float((self.judged - other.judged).mean()), float(other.judged.mean())
        return {"gain": gain, "low": low, "high": high, "relative": gain / base if base else 0.0}


def turns_of(runs: Sequence[SeedRun], when: str) -> Turns:
    """Of runs that differ in their seed, before or after."""
    served = [[getattr(result, when) for result in run.results] for run in runs]

    def mean(name: str) -> Floats:
        return np.mean([[one.figures[name] for one in own] for own in served], axis=0)

    held20 = [
        [len(set(one.offered[:20]) & set(r.truth)) / len(r.truth) for one, r in zip(own, run.results, strict=True)]
        for own, run in zip(served, runs, strict=True)
    ]
    seeds = tuple(float(np.mean([one.figures[JUDGED] for one in own])) for own in served)
    turns, dialogues = zip(*((result.turn, result.dialogue) for result in runs[0].results), strict=True)
    if any([result.turn for result in run.results] != list(turns) for run in runs):
        raise ValueError("seeds of one learner have other turns; run the study again")
    return Turns(list(turns), list(dialogues), mean(JUDGED), mean(ALONE), mean(HELD), np.mean(held20, axis=0), seeds)


def elsewhere(folder: Path, judge: str, bundles: Mapping[str, Path | None], like: Turns) -> Turns | None:
    """What other bundles serve under a judge; None where the study has no such file.

    Args:
        bundles: name of a file -> the bundle that it is of, if that lies in the folder.
    """
    paths = {name: folder / "served" / judge / f"{name}.json" for name in bundles}
    if not all(path.exists() for path in paths.values()):
        return None
    found = []
    for name, path in paths.items():
        one, bundle = json.loads(path.read_text(encoding="utf-8")), bundles[name]
        if one["turns"] != like.turns:
            raise ValueError(f"{path} is of other turns than the runs; run the study again")
        if bundle is not None and one.get("weights", "") not in ("", read_manifest(bundle, "retriever").sha256):
            raise ValueError(f"{path} is of other weights than {bundle}; run the study again")
        found.append(one)
    judged, alone, held = (np.mean([one[key] for one in found], axis=0) for key in ("judged", "alone", "held"))
    seeds = tuple(float(np.mean(one["judged"])) for one in found)
    return Turns(like.turns, like.dialogues, judged, alone, held, np.full(len(held), np.nan), seeds)


def runs_in(folder: Path) -> Iterator[tuple[str, str, list[SeedRun], int]]:
    """Judge, learner, its finished runs by seed, and calls of one run, of one part of a study."""
    for judge in sorted(path for path in folder.iterdir() if path.is_dir()):
        for learner in sorted(judge.iterdir()):
            finished = sorted(path for path in learner.glob("run-*") if (path / "figures.json").exists())
            runs = [read_run(path).seeds[0] for path in finished]
            if runs:
                yield judge.name, learner.name, runs, int(runs[0].figures["calls"])


def study_in(folder: Path) -> dict[str, Any]:
    """What the study was that made a folder; the committed one, where it does not say."""
    kept = folder / "study.json"
    if kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    return tomllib.loads(STUDY.read_text(encoding="utf-8"))


def averaged(folder: Path) -> dict[str, Any]:
    """The figures of a study. Raises ValueError if it has no finished run, or files that do not belong together."""
    study = study_in(folder)
    judges: dict[str, Any] = {}
    finished = [path.parent for path in sorted((folder / "main").glob("*/*/run-*/figures.json"))]
    if not finished:
        raise ValueError(f"{folder} has no finished run in 'main'; run the study first")
    about = read_run(finished[0])
    start: dict[str, Turns] = {}
    found: dict[str, dict[str, Turns]] = {}
    for judge, learner, runs, calls in runs_in(folder / "main"):
        own = found.setdefault(judge, {})
        start.setdefault(judge, turns_of(runs, "before"))
        own[learner] = turns_of(runs, "after")
        part = judges.setdefault(judge, {"rows": {}, "curves": {}})
        part["rows"][learner] = own[learner].row() | {"calls": calls}
        part["curves"][learner] = curve(runs)
    for judge, part in judges.items():
        own = found[judge]
        own["sft"] = start[judge]
        part["rows"]["sft"] = own["sft"].row() | {"calls": 0}
        if (everything := elsewhere(folder, judge, {"sft-all": None}, own["sft"])) is not None:
            own["sft-all"] = everything
            part["rows"]["sft-all"] = everything.row() | {"calls": 0, "held20": None}
        for learner, row in part["rows"].items():
            row["over"] = {
                base: own[learner].over(own[base]) for base in ("sft", CONTROL) if base in own and base != learner
            }
        part["transfer"] = {}
        for other in judges:
            if other != judge:
                bundles = {f"{other}-{seed}": moved_bundle(folder, study, other, seed) for seed in study["seeds"]}
                if (moved := elsewhere(folder, judge, bundles, own["sft"])) is not None:
                    part["transfer"][other] = moved.row() | {"held20": None, "over": {"sft": moved.over(own["sft"])}}
    return {
        "date": max(str(read_figures(path)["date"]) for path in finished),
        "turns": len(about.report.turns),
        "dialogues": len({turn.gold.dialogue for turn in about.report.turns}),
        "sets": about.recipe["sets"],
        "loop": about.recipe["loop"],
        "moved": study["transfer"],
        "judges": judges,
        "sizes": sizes(folder, judges, study["transfer"], main_size=about.recipe["sets"]["n"]),
    }


def moved_bundle(folder: Path, study: Mapping[str, Any], judge: str, seed: int) -> Path | None:
    """The bundle of the learner that is put before other judges; None if it was taken out of the folder."""
    found = folder / "main" / judge / study["transfer"] / f"run-{seed}" / f"seed-{seed}" / "bundle"
    return found if found.is_dir() else None


def curve(runs: Sequence[SeedRun]) -> list[list[float]]:
    """Iterations, and NDCG@10 after the judge on tuning turns, at each validation; mean of the seeds."""
    length = min(len(run.validations) for run in runs)
    return [
        [
            int(runs[0].validations[at]["iteration"]),
            float(np.mean([run.validations[at]["ndcg@10 judged"] for run in runs])),
        ]
        for at in range(length)
    ]


def sizes(folder: Path, judges: Mapping[str, Any], moved: str, *, main_size: int) -> dict[str, Any]:
    """NDCG@10 by the size of a candidate set: judge -> n -> weights; the main part of the study is `main_size`."""
    result: dict[str, Any] = {}
    for part in sorted(path for path in folder.iterdir() if path.name.startswith("n=")):
        n = part.name.removeprefix("n=")
        for judge, learner, runs, _ in runs_in(part):
            own = result.setdefault(judge, {}).setdefault(n, {"sft": turns_of(runs, "before").row()})
            own[learner] = turns_of(runs, "after").row()
    for judge, own in result.items():
        rows = judges[judge]["rows"]
        own[str(main_size)] = {name: rows[name] for name in ("sft", CONTROL, moved) if name in rows}
    return result


def tables(document: Mapping[str, Any]) -> str:
    """Everything between the marks."""
    parts: list[str] = []
    n, moved = document["sets"]["n"], document.get("moved", "ca-pg")  # older figures do not say
    for judge, part in document["judges"].items():
        parts += [f"### Judge: {judge}", _main_table(part["rows"], n)]
    parts += ["### Put before another judge", _transfer(document["judges"], moved)]
    if document["sizes"]:
        parts += ["### Smaller candidate sets, NDCG@10 after the judge (seeds)", _sizes(document["sizes"], moved)]
    parts.append(f"{document['turns']:,} turns of {document['dialogues']:,} dialogues. Computed on {document['date']}.")
    return "\n\n".join(parts)


def _main_table(rows: Mapping[str, Any], n: int) -> str:
    lines = [
        f"| weights | NDCG@10 after the judge | over SFT | over SFT longer | alone | R@20 | R@{n} | seeds | calls |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name in _ordered(rows):
        row = rows[name]
        spread = "" if row["between seeds"] is None else f" ±{_number(row['between seeds'])}"
        cells = [
            _named(name),
            f"{_number(row['judged'])}{spread} [{_number(row['low'])}, {_number(row['high'])}]",
            *(_gain(row["over"].get(base)) for base in ("sft", CONTROL)),
            _number(row["alone"]),
            _number(row["held20"]),
            _number(row["held"]),
            str(row["seeds"]),
            f"{row['calls']:,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _transfer(judges: Mapping[str, Any], moved: str) -> str:
    lines = ["| served to | " + " | ".join(f"learned from {name}" for name in judges) + " |"]
    lines.append("| :-- |" + " --: |" * len(judges))
    for judge, part in judges.items():
        cells = [judge]
        for other in judges:
            row = part["rows"].get(moved) if other == judge else part["transfer"].get(other)
            cells.append("" if row is None else f"{_number(row['judged'])}, {_gain(row['over'].get('sft'))}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _sizes(found: Mapping[str, Any], moved: str) -> str:
    shown = ("sft", CONTROL, moved)
    lines = [f"| judge | n | {' | '.join(map(_named, shown))} |", "| :-- | --: | --: | --: | --: |"]
    for judge, own in found.items():
        for n, rows in sorted(own.items(), key=lambda pair: int(pair[0])):
            cells = [
                f"{_number(rows[name]['judged'])} ({rows[name]['seeds']})" if name in rows else "" for name in shown
            ]
            lines.append(f"| {judge} | {n} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ordered(names: Collection[str]) -> list[str]:
    """Learners as tables and curves have them."""
    return [name for name in ORDER if name in names] + sorted(set(names).difference(ORDER))


def _named(learner: str) -> str:
    return LEARNERS.get(learner, learner)


def _gain(over: Mapping[str, float] | None) -> str:
    if over is None:
        return ""
    gain, low, high = (f"{over[name]:+.4f}" for name in ("gain", "low", "high"))
    return f"{gain} [{low}, {high}], {over['relative']:+.1%}".replace("%", " %")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".removeprefix("0")


def draw(document: Mapping[str, Any]) -> None:
    """The curves, as SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    judges, calls = document["judges"], document["loop"]["batch"] * document["sets"]["groups"]
    others = {name for part in judges.values() for name in part["curves"]}.difference(ORDER)
    places = {name: place for place, name in enumerate([*ORDER, *sorted(others)])}
    with matplotlib.rc_context({"svg.hashsalt": "alignment", "svg.fonttype": "path", "font.size": 9}):
        figure = Figure(figsize=(4 * len(judges), 3.4), layout="constrained")
        for place, (judge, part) in enumerate(judges.items(), start=1):
            axes = figure.add_subplot(1, len(judges), place)
            for learner in _ordered(part["curves"]):
                axes.plot(
                    [calls * step for step, _ in part["curves"][learner]],
                    [score for _, score in part["curves"][learner]],
                    marker="o", markersize=3, linewidth=1.2, label=_named(learner),
                    color=f"C{places[learner]}",  # the same in every panel
                    linestyle="--" if learner == CONTROL else "-",
                )  # fmt: skip
            axes.set_title(judge)
            axes.set_xlabel("calls learned from (dashed: none, as many steps)")
            if place == 1:
                axes.set_ylabel("NDCG@10 after the judge, tuning turns")
                axes.legend(frameon=False, fontsize=7)
        figure.savefig(CURVES, format="svg", metadata={"Date": None})


def replaced(page: str, content: str) -> str:
    """The document with new content between the marks. Raises ValueError if it has not both."""
    before, opened, rest = page.partition(START)
    _, closed, after = rest.partition(END)
    if not (opened and closed):
        raise ValueError(f"the page lacks one of its marks, {START!r} and {END!r}; put them back")
    return f"{before}{START}\n\n{content}\n\n{END}{after}"


def figures() -> dict[str, Any]:
    """The committed ones."""
    return dict(json.loads(FIGURES.read_text(encoding="utf-8")))


def main() -> int:
    if len(sys.argv) > 1:
        document = averaged(Path(sys.argv[1]))
        write_text(FIGURES, json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
        draw(document)
    write_text(PAGE, replaced(PAGE.read_text(encoding="utf-8"), tables(figures())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
