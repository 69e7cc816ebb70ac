"""What a corpus costs at size, from dumps to the first answer: time, memory and disk of every step.

    python benchmarks/corpus_scale.py --films 20000 --out docs/results/corpus_scale_20000.json
    python benchmarks/corpus_scale.py --data ../shared/data --films 110000 --folder /big/disk --out ...

Dumps of so many invented films are written in the forms in which they are published (IMDb, TMDB, Wikipedia, Wikidata,
MovieLens, CMU: `rarec.testing.dumps`); with --data the real movies.parquet is a source beside them. Every step after
that is a process of its own, started on what the one before left on the disk. The build tells its parts apart by its
own progress; their peaks are of the resident memory since the part began (Linux; a part begins with what the ones
before still hold). Vectors of the items are invented, for no step here times the embedder, except that of the question.
Peaks count pages of files that are mapped too. With --folder a run that was cut off goes on behind the last step that
was finished.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rarec.files import write_text
from rarec.testing.dumps import RECIPE, SOURCES, TRUTH, DumpOptions, write_dumps

WITHOUT = ("merged", "table")
"""Invented sources that are left out: the place of the first is the real file's, the second is in no public form."""
DONE = "steps.json"
"""What was measured already, in the folder of a run."""
FIRST_ID = 45_000_000
"""Above every id of the real rows, and below what the reader of MovieLens takes for an id."""
PARTS = (
    ("match", "resolve"), ("note what was refused", "resolve"), ("compare", "compare"), ("keep ids", "name"),
    ("name items", "name"), ("write items", "merge and write"),
)  # fmt: skip
"""How stages of a build begin -> the part that they belong to; all others read and stage."""
QUESTION = "Something about a lighthouse and an old secret, from the nineties or later"
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        seconds: on the wall.
        cpu_seconds: of all its threads; it says more than the wall where the machine does other things too.
        peak_mb: highest resident memory in 1e6 bytes; None where it was not measured.
        note: what came of it.
    """

    name: str
    seconds: float
    cpu_seconds: float
    peak_mb: float | None = None
    note: str = ""


class Meter:
    """Tells the parts of a process apart, and how much memory each needed at most."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._name, self._since, self._worked = "", 0.0, 0.0

    def begin(self, name: str) -> None:
        """Another part begins; one that was there before goes on."""
        if name == self._name:
            return
        self.end()
        self._name, self._since, self._worked = name, time.perf_counter(), time.process_time()
        _forget_peak()

    def end(self, note: str = "") -> None:
        """The part is over."""
        if self._name:
            before = self.steps.get(self._name, Step(self._name, 0.0, 0.0, 0.0))
            seconds = before.seconds + time.perf_counter() - self._since
            worked = before.cpu_seconds + time.process_time() - self._worked
            peak = max(before.peak_mb or 0.0, _peak_mb())
            self.steps[self._name] = Step(self._name, round(seconds, 2), round(worked, 2), round(peak, 1), note)
        self._name = ""


def _peak_mb() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def invent(folder: Path, options: argparse.Namespace) -> Step:
    """Write the dumps and the recipe."""
    meter = Meter()
    meter.begin("invent the dumps")
    sources = [name for name in SOURCES if name not in WITHOUT]
    first = FIRST_ID if options.data else 0
    write_dumps(folder, DumpOptions(films=options.films, seed=options.seed, first_id=first), sources=sources)
    (folder / TRUTH).unlink()
    if options.data:
        real = json.dumps(str((options.data / "corpus" / "movies.parquet").resolve()))
        table = f'[[sources]]\nname = "merged"\nkind = "merged"\nfiles = {{ movies = {real} }}\n\n'
        recipe = (folder / RECIPE).read_text(encoding="utf-8")
        write_text(folder / RECIPE, recipe.replace("[popularity]\n", f"{table}[popularity]\n"))
    meter.end(f"{options.films:,} films")
    return meter.steps["invent the dumps"]


def build(folder: Path) -> list[Step]:
    """In a process of its own: the build, in parts."""
    from rarec.corpus.build import build_corpus
    from rarec.corpus.recipe import load_corpus_recipe

    meter = Meter()

    def tell(stage: str, done: int, total: int, text: str) -> None:  # noqa: ARG001
        meter.begin(next((part for start, part in PARTS if stage.startswith(start)), "read and stage"))

    built = build_corpus(load_corpus_recipe(folder / "dumps" / RECIPE), folder / "corpus", progress=tell)
    meter.end(f"{built.written.items:,} items of {built.written.records:,} records")
    return list(meter.steps.values())


def fill(folder: Path) -> list[Step]:
    """In a process of its own: invented vectors of all items, under the name of the store's embedder."""
    from large_store import PoolEmbedder, pool
    from rarec.assembly import cached_embedder
    from rarec.catalogue import CatalogueStore
    from rarec.embed import CachedEmbedder
    from rarec.settings import StorePaths, read_settings

    paths, meter = StorePaths(folder / "store"), Meter()
    meter.begin("fill the cache with invented vectors")
    with cached_embedder(paths, read_settings(paths.root)) as real:
        invented = PoolEmbedder(pool(real.dimension, None, 0), real.name)
    with (
        CatalogueStore.open(paths.catalogue) as catalogue,
        CachedEmbedder(invented, paths.embeddings, chunk=CHUNK) as cache,
    ):
        texts = (catalogue.layout.render(item) for item in catalogue)
        while chunk := list(islice(texts, CHUNK)):
            cache.embed(chunk)
        meter.end(f"{len(cache):,} vectors")
    return list(meter.steps.values())


def answer(folder: Path) -> list[Step]:
    """In a process of its own: open the store, which makes the index, and answer twice."""
    from rarec import Conversation, Recommender, Turn

    meter = Meter()
    meter.begin("open: link, project, index")
    with Recommender.open(folder / "store") as recommender:
        for name in ("first answer", "second answer"):
            meter.begin(name)
            found = recommender.reply(Conversation((Turn("user", QUESTION),)), n=10, words=False)
            meter.end(f"degraded: {found.reason}" if found.degraded else f"{len(found.items)} items")
    return list(meter.steps.values())


PROCESSES: dict[str, Callable[[Path], list[Step]]] = {"build": build, "fill": fill, "answer": answer}


def process(name: str, command: list[str], *, prefix: str = "") -> tuple[Step, str]:
    """Run a command; what it took, and what it wrote."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as written:
        child = subprocess.Popen(command, stdout=written, env=_environment())
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        written.seek(0)
        text = written.read()
    if child.returncode:
        raise SystemExit(f"{prefix}{name} failed with {child.returncode}: {' '.join(command)}\n{text}")
    seconds = time.perf_counter() - began
    worked = used.ru_utime + used.ru_stime
    return Step(name, round(seconds, 2), round(worked, 2), round(used.ru_maxrss * 1024 / 1e6, 1)), text


def _environment() -> dict[str, str]:
    here = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, here))}


def rarec(name: str, *words: str | Path, note: Callable[[Any], str]) -> Step:
    """Run a command of the program."""
    program = "import sys; from rarec.cli import main; sys.exit(main())"
    step, text = process(name, [sys.executable, "-c", program, *map(str, words), "--json"])
    return replace(step, note=note(json.loads(text)))


def own(name: str, folder: Path) -> list[Step]:
    """Run a part of this file in a process of its own."""
    _, text = process(name, [sys.executable, __file__, "--process", name, "--folder", str(folder)])
    return [Step(**step) for step in json.loads(text.splitlines()[-1])]


def stages(folder: Path, options: argparse.Namespace) -> dict[str, Callable[[], list[Step]]]:
    """What is done in one go, in order."""
    store, corpus = folder / "store", folder / "corpus"
    return {
        "invent": lambda: [invent(folder / "dumps", options)],
        "build": lambda: own("build", folder),
        "report": lambda: [
            rarec("report on it", "corpus", "report", corpus, note=lambda found: f"{found['items']:,} items")
        ],
        "init": lambda: [rarec("make a store", "init", store, "--layout", "film", note=lambda _: "")],
        "import": lambda: [
            rarec(
                "import", "import", corpus / "items.parquet", "--store", store,
                note=lambda found: f"{found['added']:,} added",
            )
        ],
        "update": lambda: [
            rarec(
                "update from it once more", "corpus", "update", "--store", store, "--corpus", corpus, "--no-embed",
                note=lambda found: f"{found['plan']['unchanged']:,} unchanged",
            )
        ],
        "fill": lambda: own("fill", folder),
        "embed": lambda: [
            rarec(
                "look all up in the cache", "embed", "--store", store,
                note=lambda found: f"{found['embedded']:,} missing",
            )
        ],
        "answer": lambda: own("answer", folder),
    }  # fmt: skip


def measured(folder: Path, options: argparse.Namespace) -> list[Step]:
    """All steps; those of stages that were finished before are read from the folder."""
    path = folder / DONE
    asked = {"films": options.films, "seed": options.seed, "data": str(options.data or "")}
    done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {**asked, "steps": {}}
    if {name: done[name] for name in asked} != asked:
        raise SystemExit(f"{folder} holds a run of {done['films']:,} films and other settings; name another --folder")
    for name, run in stages(folder, options).items():
        if name not in done["steps"]:
            done["steps"][name] = [asdict(step) for step in run()]
            write_text(path, json.dumps(done))
    return [Step(**step) for steps in done["steps"].values() for step in steps]


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of what was written, the dumps together."""
    found = {"dumps": sum(path.stat().st_size for path in (folder / "dumps").iterdir())}
    for part in ("corpus", "store"):
        for path in sorted((folder / part).iterdir()):
            if path.is_file() and not path.name.startswith("."):
                found[f"{part}/{path.name}"] = path.stat().st_size
    return found


def show(document: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{'step':38}{'seconds':>10}{'CPU':>10}{'peak MB':>10}  what")
    for step in document["steps"]:
        peak = "" if step["peak_mb"] is None else f"{step['peak_mb']:,.0f}"
        print(f"{step['name']:38}{step['seconds']:>10,.1f}{step['cpu_seconds']:>10,.1f}{peak:>10}  {step['note']}")
    print()
    for name, size in document["bytes"].items():
        print(f"{name:38}{size / 1e6:>10,.1f} MB")


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=20_000, help="how many are invented")
    parser.add_argument("--data", type=Path, help="folder with corpus/movies.parquet, to have the real rows too")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one, deleted at the end, by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    parser.add_argument("--process", choices=PROCESSES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parsed()
    if options.process:
        print(json.dumps([asdict(step) for step in PROCESSES[options.process](options.folder)]))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="rarec-scale-"))
    try:
        steps = measured(folder, options)
        document = {
            "date": time.strftime("%F"),
            "films": options.films,
            "real_rows": options.data is not None,
            "seed": options.seed,
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "steps": [asdict(step) for step in steps],
            "bytes": sizes(folder),
        }
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    show(document)
    if options.out:
        write_text(options.out, json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
