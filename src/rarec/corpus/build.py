"""A recipe and its dumps -> a corpus folder."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rarec.corpus.building import PROBLEMS, Plan, Written, write_corpus
from rarec.corpus.digest import Digest, digest
from rarec.corpus.evidence_file import open_evidence
from rarec.corpus.judging import Rules
from rarec.corpus.merging import FieldOrder
from rarec.corpus.recipe import CorpusRecipe, check_corpus_files
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources import reader_of
from rarec.corpus.sources.config import SourceConfig
from rarec.corpus.staging import Staged, Staging
from rarec.errors import InputError, StoreError
from rarec.files import held_alone, place_folder, write_text
from rarec.progress import OnProgress

FORMAT = 1
MANIFEST = "corpus.json"
_SHOWN = 20
_CHUNK = 1 << 20
Extent = Literal["whole", "in part", "not at all"]


@dataclass(frozen=True, slots=True)
class _Dump:
    """A file of a source, as it was when its hash was made."""

    name: str
    path: Path
    bytes: int
    changed: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BuiltSource:
    """A source in a corpus.

    Attributes:
        read: whether its files were read now; else they had been before.
        date: of its dump, ISO 8601.
        extent: whether its files were read ``whole``, ``in part`` or, if there is no record of them, ``not at all``.
    """

    name: str
    kind: str
    records: int
    problems: int
    read: bool
    date: str
    extent: Extent = "whole"


@dataclass(frozen=True, slots=True)
class Built:
    """A corpus that was made, and what was wrong in its dumps."""

    folder: Path
    sources: tuple[BuiltSource, ...]
    written: Written
    problems: Digest


def build_corpus(
    recipe: CorpusRecipe,
    out: Path,
    *,
    previous: Path | None = None,
    work: Path | None = None,
    progress: OnProgress,
) -> Built:
    """Make the corpus of a recipe. The folder appears whole, or not at all.

    A source whose files were read to their end by a build that was cut off is not read again, as long as its files
    and its part of the recipe are the same.

    Args:
        out: folder to make; nothing may be there.
        previous: a corpus folder whose ids items keep.
        work: where the records of the sources are kept on the way; if it is given they stay there for the next build.
            By default it is `out` with ``-work`` behind its name, and is deleted once the corpus is made.
    Raises:
        SettingsError: files of the recipe are missing.
        InputError: `out` is there already, a file was written while it was read, or rows are bad and the recipe says
            that the build must stop then.
        StoreError: the disk is full, `previous` is no corpus, or another build uses the work folder.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} is there already; name another folder with --out, or delete it")
    check_corpus_files(recipe)
    if previous is not None:
        open_evidence(previous).close()
    folder = work or work_of(out)
    _check_places(out, folder)
    taken = f"another build uses {str(folder)!r}; wait for it, or name another folder with --work"
    with held_alone(folder / "lock", taken=taken):
        built = _built(recipe, out, folder, previous, progress)
        _clear(folder, everything=work is None)
    return built


def _built(recipe: CorpusRecipe, out: Path, work: Path, previous: Path | None, progress: OnProgress) -> Built:
    with closing(Staging(work / "staged.sqlite")) as staging:
        staging.keep_only(source.name for source in recipe.sources)
        sources: list[BuiltSource] = []
        documents: dict[str, Any] = {}
        for source in recipe.sources:
            dumps = [_dump(source, name, path, progress) for name, path in recipe.paths_of(source).items()]
            staged, read = _staged(source, dumps, staging, work, progress)
            date = _date(source, dumps)
            extent = _extent(staged, staging.unread().get(source.name, 0))
            sources.append(BuiltSource(source.name, source.kind, staged.records, staged.problems, read, date, extent))
            documents[source.name] = _source_document(source, dumps, staged, date, extent)
        if recipe.on_bad == "stop":
            _stop_if_bad(staging, work)
        folder = work / "corpus"
        shutil.rmtree(folder, ignore_errors=True)  # of a build that was cut off
        folder.mkdir()
        written = write_corpus(staging, plan_of(recipe), folder, work=work, previous=previous, progress=progress)
        if recipe.on_bad == "stop" and written.refused_items:
            raise InputError(
                f'the catalogue would refuse {written.refused_items:,} items and on_bad is "stop", so no corpus was '
                f"made; the last lines of {str(folder / PROBLEMS)!r} say which: correct their sources, or skip them"
            )
        problems = digest(staging.problems())
        write_text(folder / MANIFEST, _manifest(recipe, documents, written))
    place_folder(folder, out)
    return Built(out, tuple(sources), written, problems)


def work_of(out: Path) -> Path:
    """The work folder of a build that was not told of another."""
    return out.with_name(f"{out.name}-work")


def _check_places(out: Path, work: Path) -> None:
    """Before anything long is begun: the corpus can be put where it shall be by renaming it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        apart = _disk(out.parent) != _disk(work)
    except OSError as error:
        raise StoreError(f"cannot make {str(error.filename)!r}: {error.strerror}; choose another folder") from error
    if apart:
        raise InputError(
            f"the work folder {str(work)!r} is not on the disk of {str(out)!r}; name one there with --work"
        )


def _disk(folder: Path) -> int:
    """Number of the disk that a folder is on, or would be."""
    folder = folder.absolute()
    return next(place.stat().st_dev for place in (folder, *folder.parents) if place.exists())


def plan_of(recipe: CorpusRecipe) -> Plan:
    """What a recipe says of resolving and merging."""
    rules = Rules(**dict(recipe.resolve))
    fields = {name: FieldOrder(one.sources, one.combine, one.max) for name, one in recipe.fields.items()}
    names = tuple(source.name for source in recipe.sources)
    return Plan(names, recipe.ids, dict(recipe.popularity), fields, rules)


def _staged(
    source: SourceConfig, dumps: list[_Dump], staging: Staging, work: Path, progress: OnProgress
) -> tuple[Staged, bool]:
    """What is read of a source, and whether it had to be read now."""
    fingerprint = _fingerprint(source, dumps)
    if (known := staging.staged(source.name, fingerprint)) is not None:
        progress(f"{source.name}: read before", 1, 1, f"{known.records:,} records")
        return known, False
    scratch = work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    rows: dict[str, int] = {}
    files = {dump.name: dump.path for dump in dumps}
    found = reader_of(source.kind)(source, files, scratch=scratch, progress=progress, rows=rows)
    staged = staging.stage(source.name, fingerprint, _unchanged(found, dumps), counted=rows)
    shutil.rmtree(scratch, ignore_errors=True)
    return staged, True


def _fingerprint(source: SourceConfig, dumps: list[_Dump]) -> str:
    """Of all that decides what is read of a source: its settings, the content of its files, and who reads them."""
    settings = source.model_dump(mode="json", exclude={"files", "urls", "date"})
    parts = [version("rarec"), settings, [[dump.name, dump.path.name, dump.sha256] for dump in dumps]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("ascii")).hexdigest()


def _dump(source: SourceConfig, name: str, path: Path, progress: OnProgress) -> _Dump:
    (total, changed), done, digest = _state(path), 0, hashlib.sha256()
    stage = f"{source.name}: hash of {path.name}"
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(stage, done, total, "")
    return _Dump(name, path, total, changed, digest.hexdigest())


def _state(path: Path) -> tuple[int, int]:
    """Its size, and when it was written last."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _unchanged(rows: Iterator[Record | Problem], dumps: list[_Dump]) -> Iterator[Record | Problem]:
    """The rows; what was read of files that were written meanwhile must not be taken for what their hashes say."""
    yield from rows
    for dump in dumps:
        if _state(dump.path) != (dump.bytes, dump.changed):
            raise InputError(f"{str(dump.path)!r} was written while it was read; wait until it is whole, then go on")


def _date(source: SourceConfig, dumps: list[_Dump]) -> str:
    if source.date is not None:
        return source.date.isoformat()
    newest = max(dump.changed for dump in dumps)
    return datetime.datetime.fromtimestamp(newest / 1e9, datetime.UTC).date().isoformat()


def _extent(staged: Staged, unread: int) -> Extent:
    if not staged.records:
        return "not at all"
    return "in part" if unread else "whole"


def _stop_if_bad(staging: Staging, work: Path) -> None:
    bad = (f"{name}: {problem}" for name, problem in staging.problems() if not problem.used)
    if shown := list(islice(bad, _SHOWN)):
        more = sum(1 for _ in bad)
        lines = [*(f"  {line}" for line in shown), *([f"  ... and {more:,} more"] if more else [])]
        what = 'rows are bad and on_bad is "stop", so no corpus was made; correct them, or skip them'
        kept = f"What was read is kept in {str(work)!r} for the next build; delete it if there will be none."
        raise InputError("\n".join([f"{what}:", *lines, kept]))


def _source_document(
    source: SourceConfig, dumps: list[_Dump], staged: Staged, date: str, extent: Extent
) -> dict[str, Any]:
    named: Mapping[str, Path] = source.named_files()
    files = [
        {"path": str(named[dump.name]), "bytes": dump.bytes, "sha256": dump.sha256, "rows": staged.rows.get(dump.name)}
        for dump in dumps
    ]
    return {
        "kind": source.kind,
        "files": files,
        "read": extent,
        "records": staged.records,
        "problems": staged.problems,
        "dump_date": date,
    }


def _manifest(recipe: CorpusRecipe, sources: Mapping[str, Any], written: Written) -> str:
    document = {
        "format": FORMAT,
        "name": recipe.name,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rarec": version("rarec"),
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude={"folder"}),
        "sources": sources,
        "counts": {name: value for name, value in asdict(written).items() if name != "attributes"},
        "attributes": written.attributes,
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _clear(work: Path, *, everything: bool) -> None:
    """Delete what a build needs no more: of a folder that was not asked for, all that builds put there."""
    (work / "names.sqlite").unlink(missing_ok=True)
    if everything:
        for name in ("staged.sqlite", "staged.sqlite-wal", "staged.sqlite-shm", "lock"):
            (work / name).unlink(missing_ok=True)
        if not any(work.iterdir()):
            work.rmdir()


__all__ = ["FORMAT", "MANIFEST", "Built", "BuiltSource", "build_corpus", "plan_of", "work_of"]
