"""One file with all of a store that cannot be computed again, taken while it is served; and back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rarec.errors import InputError, StoreError
from rarec.files import atomic_write, place_folder
from rarec.settings import StorePaths

MANIFEST = ".rarec-manifest.json"
"""No file of a store is named so: those with a dot are left out."""
_SQLITE = (".sqlite", ".sqlite-wal", ".sqlite-shm")
_BLOCK = 1 << 20
OnBytes = Callable[[int, int], None]


class BackedUpFile(BaseModel):
    """A file of the store: its path there with slashes, its size in bytes, and the SHA-256 of what is in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    bytes: int = Field(ge=0)
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What a backup holds; it is the last file in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    files: tuple[BackedUpFile, ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    path: Path


def back_up(store: Path, target: Path, *, force: bool = False, progress: OnBytes | None = None) -> Manifest:
    """Write a store into one tar file: catalogue, service database, settings, bundles and promotions.

    Databases are copied by SQLite's online backup, each as it is at one moment; others may write meanwhile. Embeddings
    are left out, since they can be computed again. A PostgreSQL database is not in it: use pg_dump.

    Args:
        target: outside the store; written whole or not at all.
        force: replace a file that is there.
    Raises:
        InputError: there is no store, `target` exists, or lies in the store.
        StoreError: something cannot be read or written.
    """
    paths = StorePaths(store)
    if not paths.catalogue.is_file():
        raise InputError(f"no store at {str(store)!r}; give the folder of one")
    if target.absolute().resolve().is_relative_to(store.resolve()):
        raise InputError(f"{str(target)!r} lies in the store; write the backup elsewhere")
    if target.exists() and not force:
        raise InputError(f"{str(target)!r} exists already; choose another name, or give --force")
    try:
        with tempfile.TemporaryDirectory(prefix=".rarec-backup-", dir=target.absolute().parent) as folder:
            sources = [*_snapshots(paths, Path(folder)), *_plain_files(paths)]
            total, done, found = sum(source.path.stat().st_size for source in sources), 0, []
            with atomic_write(target) as file, tarfile.open(fileobj=file, mode="w|") as tar:
                for source in sources:
                    found.append(_add(tar, source))
                    done += found[-1].bytes
                    if progress is not None:
                        progress(done, max(total, done))
                manifest = Manifest(files=tuple(found))
                _add_text(tar, manifest.model_dump_json(indent=2) + "\n")
    except sqlite3.Error as error:
        raise StoreError(f"cannot copy a database of {str(store)!r}: {error}; see: rarec doctor") from error
    except OSError as error:
        raise StoreError(f"cannot write the backup {str(target)!r}: {error.strerror or error}") from error
    return manifest


def restore(source: Path, store: Path, *, force: bool = False, progress: OnBytes | None = None) -> Manifest:
    """Make a store from a backup; everything in it is checked against its hash before anything of the store changes.

    Args:
        force: put its files into a store that is there. Its databases are then overwritten in one transaction each,
            so that a process that has them open reads the old or the new; files that the backup lacks stay.
    Raises:
        InputError: the file is no backup or is damaged, or there is something at `store` and `force` is not given.
        StoreError: the store cannot be written.
    """
    if store.exists() and not force and (not store.is_dir() or any(store.iterdir())):
        raise InputError(f"there is something at {str(store)!r} already; choose another folder, or give --force")
    arriving = store.absolute().parent / f".{store.absolute().name}.arriving-{secrets.token_hex(4)}"
    try:
        arriving.mkdir(parents=True)
        try:
            manifest = _unpacked(source, arriving, progress)
            if store.is_dir() and any(store.iterdir()):
                _replace(arriving, store, manifest)
            else:
                if store.exists():
                    store.rmdir()
                place_folder(arriving, store)
        finally:
            shutil.rmtree(arriving, ignore_errors=True)
    except sqlite3.Error as error:
        raise StoreError(f"cannot overwrite a database of {str(store)!r}: {error}; stop what uses it") from error
    except OSError as error:
        raise StoreError(f"cannot restore to {str(store)!r}: {error.strerror or error}; run it again") from error
    return manifest


def _snapshots(paths: StorePaths, folder: Path) -> Iterator[_Source]:
    for path in (paths.catalogue, paths.service):
        if path.is_file():
            _copy_database(path, folder / path.name)
            yield _Source(path.name, folder / path.name)


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's online backup: over a database that is there in one transaction."""
    with closing(sqlite3.connect(source, timeout=30)) as old, closing(sqlite3.connect(target, timeout=30)) as new:
        old.backup(new, pages=-1)


def _plain_files(paths: StorePaths) -> Iterator[_Source]:
    """All but databases, locks, and what a kill left behind; the pointer to the live bundle comes last."""
    found = [path for path in paths.root.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in sorted(found, key=lambda path: (path.name == "live.json", path)):
        inside = path.relative_to(paths.root)
        if path.name.endswith(_SQLITE) or path.name == "lock" or any(part.startswith(".") for part in inside.parts):
            continue
        yield _Source(inside.as_posix(), path)


def _add(tar: tarfile.TarFile, source: _Source) -> BackedUpFile:
    with source.path.open("rb") as file:
        info = tarfile.TarInfo(source.name)
        info.size = os.fstat(file.fileno()).st_size  # a file that grows meanwhile is taken as far as it was
        hashing = _Hashing(file)
        tar.addfile(info, hashing)
    return BackedUpFile(path=source.name, bytes=info.size, sha256=hashing.digest())


def _add_text(tar: tarfile.TarFile, text: str) -> None:
    info, content = tarfile.TarInfo(MANIFEST), text.encode()
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


class _Hashing:
    """A file that hashes what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self._hash.update(found)
        return found

    def digest(self) -> str:
        return self._hash.hexdigest()


def _unpacked(source: Path, folder: Path, progress: OnBytes | None) -> Manifest:
    """Write the files of a backup into an empty folder, and check them all."""
    try:
        size = source.stat().st_size
        found: list[BackedUpFile] = []
        with tarfile.open(source, mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise _Damaged(f"{member.name!r} in it is no file")
                if member.name == MANIFEST:
                    return _checked(json.loads(content.read()), found)
                found.append(_write(folder, member.name, content))
                if progress is not None:
                    progress(member.offset_data + member.size, size)
        raise _Damaged("it ends before its manifest")
    except (tarfile.TarError, _Damaged, ValueError, EOFError) as error:
        raise InputError(f"{str(source)!r} is no backup of rarec, or is damaged: {error}; take another") from error
    except FileNotFoundError as error:
        raise InputError(f"no file {str(source)!r}; give one that rarec backup wrote") from error


class _Damaged(Exception):
    pass


def _write(folder: Path, name: str, content: IO[bytes]) -> BackedUpFile:
    parts = PurePosixPath(name).parts
    if not parts or name != "/".join(parts) or "\\" in name or ":" in name or any(p.startswith(".") for p in parts):
        raise _Damaged(f"{name!r} in it is no name of a file in a store")
    path = folder.joinpath(*parts)
    if path.exists():
        raise _Damaged(f"{name!r} is in it twice")
    path.parent.mkdir(parents=True, exist_ok=True)
    hashing = _Hashing(content)
    with atomic_write(path) as file:
        shutil.copyfileobj(hashing, file, _BLOCK)
    return BackedUpFile(path=name, bytes=path.stat().st_size, sha256=hashing.digest())


def _checked(document: Any, found: list[BackedUpFile]) -> Manifest:
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise _Damaged(f"its manifest is wrong: {error.errors()[0]['msg']}") from error
    for told, read in zip(manifest.files, found, strict=False):
        if told != read:
            raise _Damaged(f"{read.path!r} is not what was written")
    if len(manifest.files) != len(found) or "catalogue.sqlite" not in {file.path for file in found}:
        raise _Damaged(f"it holds {len(found)} files, its manifest names {len(manifest.files)}")
    return manifest


def _replace(arriving: Path, store: Path, manifest: Manifest) -> None:
    for file in manifest.files:
        source, target = arriving / file.path, store / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.path.endswith(".sqlite"):
            _copy_database(source, target)
            continue
        with atomic_write(target) as new, source.open("rb") as old:
            shutil.copyfileobj(old, new, _BLOCK)
