"""Taking the files out of a zip archive, and nothing else."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from rarec.errors import InputError, RarecError
from rarec.files import atomic_write, make_folder

MAX_BYTES = 20_000_000_000
"""What an archive may hold unpacked, unless the caller says otherwise."""

Progress = Callable[[int, int], None]
"""Called with (bytes unpacked, bytes in all)."""

_CHUNK_BYTES = 1 << 20


def unzip(
    archive: str | Path, folder: str | Path, *, max_bytes: int = MAX_BYTES, progress: Progress | None = None
) -> list[Path]:
    """Extract the regular files of a zip archive, and give their paths.

    All names are checked before the first file is written; each file is written whole or not at all.

    Args:
        folder: made if it is not there; files of the same name are replaced.
        max_bytes: of all files together, unpacked; counted while unpacking too.
    Raises:
        InputError: it is no zip archive or damaged, holds a link or another special file, a name that leads out
            of the folder, two files of one name, an encrypted file, or more than `max_bytes`.
        StoreError: the folder cannot be written.
    """
    source, target = Path(archive), Path(folder)
    try:
        with zipfile.ZipFile(source) as zipped:
            entries = [entry for entry in zipped.infolist() if not entry.filename.endswith("/")]
            paths = _checked(source, entries, max_bytes)
            total, done = sum(entry.file_size for entry in entries), 0
            for entry, path in zip(entries, paths, strict=True):
                _extract(zipped, entry, target, path)
                done += entry.file_size
                if progress is not None:
                    progress(done, total)
    except RarecError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"no file {str(source)!r}; check the path") from error
    except Exception as error:  # damaged names, places and sums fail in many ways
        raise InputError(f"cannot unpack {str(source)!r}: {error}; is it a complete zip archive?") from error
    return [target / path for path in paths]


def _checked(source: Path, entries: list[zipfile.ZipInfo], max_bytes: int) -> list[PurePosixPath]:
    paths: dict[PurePosixPath, None] = {}
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if kind not in (0, stat.S_IFREG):
            raise _refused(source, entry, "it is a link or another special file")
        if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise _refused(source, entry, "its name leads out of the folder")
        if path in paths:
            raise _refused(source, entry, "it comes twice")
        if entry.flag_bits & 0x1:
            raise _refused(source, entry, "it is encrypted")
        paths[path] = None
    if (size := sum(entry.file_size for entry in entries)) > max_bytes:
        raise InputError(f"{str(source)!r} holds {size:,} bytes, more than the {max_bytes:,} that are allowed")
    return list(paths)


def _extract(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, name: PurePosixPath) -> None:
    path = folder / name
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{str(path)!r} would lie outside {str(folder)!r}, through a link; choose another folder")
    make_folder(path.parent)
    # The zip reader gives no more than the size that the entry states, and checks its sum.
    with zipped.open(entry) as packed, atomic_write(path) as file:
        for chunk in _chunks(packed):
            file.write(chunk)


def _chunks(packed: IO[bytes]) -> Iterator[bytes]:
    try:
        while chunk := packed.read(_CHUNK_BYTES):
            yield chunk
    except OSError as error:  # how bz2 says that its data are damaged; the disk that is written is not at fault
        raise zipfile.BadZipFile(str(error)) from error


def _refused(source: Path, entry: zipfile.ZipInfo, why: str) -> InputError:
    return InputError(f"{str(source)!r} is not unpacked: of {entry.filename!r}, {why}")
