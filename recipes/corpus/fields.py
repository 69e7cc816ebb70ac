"""Which fields of an item's text help: the catalogue is embedded under several layouts and searched on valid.

    python recipes/corpus/fields.py --data ../shared/data --json docs/results/corpus_fields.json

Each layout leaves fields of the `film` layout out, or adds some. Two systems search: the bundle's retriever, which was
trained on texts of the `film` layout, and similarity in the embedder's own space, which was trained on nothing. What
the retriever counts (who is mentioned with whom, attributes that items share) does not hang on the layout. Figures are
of new targets on the validation conversations, with paired intervals by dialogue against `film`. Finished parts are
kept under --out: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rarec.assembly import default_bundle
from rarec.catalogue import Layout, LayoutLine, load_layout
from rarec.evaluate import Recipe, Resources, Side, compare_runs, run_recipe
from rarec.evaluate.folder import METRICS, opened
from rarec.evaluate.recipe import DataSetConfig, RunConfig
from rarec.evaluate.system_configs import EmbeddingSimilaritySystem, RetrieverSystem
from rarec.files import write_text

WHOLE = "film"
MEASURES = ("R@1", "R@10", "R@50", "N@10")


def layouts() -> dict[str, Layout]:
    """Name -> layout, the whole one first."""
    whole = load_layout(WHOLE)

    def of(attributes: Sequence[str], chars: int = whole.max_text_chars) -> Layout:
        lines = tuple(line for line in whole.lines if line.attribute in attributes)
        return whole.model_copy(update={"lines": lines, "max_text_chars": chars, "name": "other"})

    people = ("directors", "cast")
    every = ("genres", *people)
    more = (*whole.lines, LayoutLine(attribute="keywords", prefix="Keywords: ", max_values=10))
    return {
        WHOLE: whole,
        "title and year alone": of((), 0),
        "with genres": of(("genres",), 0),
        "with people": of(people, 0),
        "with the text": of(()),
        "without genres": of(people),
        "without people": of(("genres",)),
        "without the text": of(every, 0),
        "200 characters of text": of(every, 200),
        "1,500 characters of text": of(every, 1500),
        "and keywords": whole.model_copy(update={"lines": more}),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the film data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/fields"), help="folder of what is computed")
    parser.add_argument("--bundle", type=Path, default=None, help="instead of the packaged one")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    folders: dict[str, Path] = {}
    for name, layout in layouts().items():
        folders[name] = options.out / name.replace(" ", "-").replace(",", "")
        if not (folders[name] / METRICS).exists():
            searched(layout, folders[name], options)
    whole, *others = folders
    rows = compared(whole, folders[whole], folders[others[0]])
    rows += [row for name in others for row in compared(name, folders[name], folders[whole])]
    print(as_markdown(rows))
    if options.json:
        write_text(options.json, json.dumps({"date": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n")
    return 0


def searched(layout: Layout, folder: Path, options: argparse.Namespace) -> None:
    """One run of the bench over the catalogue as the layout writes it."""
    path = options.out / "layouts" / f"{folder.name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, as_toml(layout))
    assert load_layout(path) == layout
    sets = [
        DataSetConfig(name=name, folder=options.data, split="valid", tuning="valid", layout=str(path), sentiments=True)
        for name in ("redial", "inspired")
    ]
    systems = (RetrieverSystem(), EmbeddingSimilaritySystem())
    recipe = Recipe(run=RunConfig(name=folder.name, measures=MEASURES, slices=False), data_set=sets, system=systems)
    bundle, cache = options.bundle or default_bundle(), options.out / "embeddings.sqlite"

    def tell(what: str, done: int, total: int) -> None:
        print(f"\r{layout.name}: {what} {done} of {total}".ljust(100)[:100], end="", file=sys.stderr, flush=True)

    with opened(folder, name=folder.name) as place:
        run_recipe(recipe, resources=Resources(bundle=bundle, cache=cache, progress=tell), folder=place, page=False)
    print(file=sys.stderr)


def as_toml(layout: Layout) -> str:
    """A layout file."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in layout.model_dump().items() if _plain(value)]
    for line in layout.lines:
        lines += ["", "[[lines]]", *(f"{key} = {json.dumps(value)}" for key, value in line.model_dump().items())]
    return "\n".join(lines) + "\n"


def _plain(value: object) -> bool:
    return isinstance(value, str | int | bool)


def compared(name: str, folder: Path, other: Path) -> list[dict[str, Any]]:
    """A row a data set and system."""
    rows = []
    for one in compare_runs(Side(folder), Side(other)).comparisons:
        found: Mapping[str, Any] = one.document()
        row = {"data set": found["data_set"], "system": one.a.rpartition(": ")[2], "layout": name}
        row |= {"n": found["n"], **{measure: round(found["measures"][measure]["a"], 4) for measure in MEASURES}}
        if name != WHOLE:
            headline = found["measures"]["N@10"]
            row["N@10 against film"] = [round(headline["delta"], 4), *(round(end, 4) for end in headline["ci"])]
        rows.append(row)
    return rows


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table a data set and system."""
    parts = []
    for data_set, system in dict.fromkeys((row["data set"], row["system"]) for row in rows):
        own = [row for row in rows if (row["data set"], row["system"]) == (data_set, system)]
        parts.append(f"{data_set} valid, {system}, n = {own[0]['n']:,}\n")
        parts.append("| layout | R@1 | R@10 | R@50 | N@10 | N@10 against film |\n| --- | --- | --- | --- | --- | --- |")
        for row in own:
            delta = row.get("N@10 against film")
            told = "" if delta is None else f"{delta[0]:+.4f} [{delta[1]:+.4f}, {delta[2]:+.4f}]"
            figures = " | ".join(f"{row[measure]:.4f}" for measure in MEASURES)
            parts.append(f"| {row['layout']} | {figures} | {told} |")
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
