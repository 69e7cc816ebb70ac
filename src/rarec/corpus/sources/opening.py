"""A source's files, opened for its reader."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from rarec.catalogue.streams import MAX_LINE_BYTES
from rarec.corpus.files import SourceFile
from rarec.corpus.sources.config import SourceConfig
from rarec.progress import OnProgress


def source_file(
    source: SourceConfig,
    files: Mapping[str, Path],
    key: str,
    progress: OnProgress,
    rows: dict[str, int] | None,
    *,
    encoding: str = "utf-8",
    members: Collection[str] = (),
    max_line_bytes: int = MAX_LINE_BYTES,
    again: str = "",
) -> SourceFile:
    """One of the files of a source, by its name there; `again` says for what it is read once more.

    Of an archive that holds several of them problems say which one is meant.
    """
    name = str(source.named_files().get(key, files[key]))
    if list(files.values()).count(files[key]) > 1:
        name = f"{name} ({key})"
    stage = f"{source.name}: {Path(name).name}{again and f', {again}'}"
    return SourceFile(
        files[key],
        name,
        stage,
        progress,
        key=key,
        rows=rows,
        encoding=encoding,
        members=members,
        max_line_bytes=max_line_bytes,
    )
