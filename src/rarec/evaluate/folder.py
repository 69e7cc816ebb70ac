"""The folder of a run: what was asked, the parts that are finished, and what came out.

``config.json`` is written first and ``metrics.json`` last, each file in one step, so that a run that is killed at any
moment leaves a folder in which the same command goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from rarec.errors import InputError, StoreError
from rarec.evaluate.predictions import Predictions
from rarec.files import try_lock, write_text

log = logging.getLogger(__name__)

FORMAT = 1
CONFIG, METRICS, REPORT, PREDICTIONS = "config.json", "metrics.json", "report.html", "predictions.parquet"
EXAMPLES, ITEMS = "examples.parquet", "items.parquet"
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{12}")
_NOT_CODE = ("cli", "testing", "evaluate/reports")


class Parts(Protocol):
    """Where finished predictions are kept by a key that names everything that decides them."""

    def load(self, key: str, row: str) -> Predictions | None:
        """What was kept, as the predictions of `row`; None if there is nothing that can be trusted."""
        ...

    def save(self, key: str, predictions: Predictions) -> None: ...

    def drop_portions(self, key: str) -> None:
        """Forget the portions ``<key>-...`` of a whole that is kept."""
        ...


class NoParts:
    """Keeps nothing."""

    def load(self, key: str, row: str) -> Predictions | None:  # noqa: ARG002
        return None

    def save(self, key: str, predictions: Predictions) -> None:
        pass

    def drop_portions(self, key: str) -> None:
        pass


class PartFiles:
    """One Parquet file a part, ``<key>.<code>.<sha256>.parquet``: what decides it, who made it, and what is in it.

    Attributes:
        older: rows that were taken from parts made by another version of the code.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code = code_digest()[:12]
        self.older: set[str] = set()

    def load(self, key: str, row: str) -> Predictions | None:
        """A part that is damaged is logged, deleted and counts as none."""
        from rarec.evaluate.stored import read_predictions

        for path in sorted(self._folder.glob(f"{key}.*.parquet")):
            _, code, digest, _ = path.name.split(".")
            try:
                if sha256_of(path)[:16] != digest:
                    raise InputError("its content is not what was written")
                (found,) = read_predictions(path)
            except (InputError, ValueError) as error:
                log.warning("the part %r of %r is damaged (%s); it is computed again", str(path), row, error)
                path.unlink(missing_ok=True)
                continue
            if code != self._code:
                self.older.add(row)
            return replace(found, system=row)
        return None

    def save(self, key: str, predictions: Predictions) -> None:
        """Raises StoreError if the part cannot be written."""
        from rarec.evaluate.stored import predictions_bytes, write_bytes

        content = predictions_bytes([predictions])
        digest = hashlib.sha256(content).hexdigest()[:16]
        write_bytes(self._folder / f"{key}.{self._code}.{digest}.parquet", content)

    def drop_portions(self, key: str) -> None:
        for path in self._folder.glob(f"{key}-*.parquet"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """An open folder of a run; `opened` gives one."""

    root: Path

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def cache(self) -> Path:
        """The embedding cache."""
        return self.root / "embeddings.sqlite"

    def data_set(self, name: str) -> Path:
        """Where the gold and the predictions of a data set are."""
        return self.root / name

    def forget(self) -> None:
        """Remove the parts of runs, so that everything is computed again; answers of language models stay."""
        for path in self.parts.glob("*.parquet"):
            path.unlink(missing_ok=True)

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write what was asked; figures of another question are removed first, so that none is taken for an answer.

        Raises:
            StoreError: a file cannot be written.
        """
        text = config_text(config)
        path = self.root / CONFIG
        if not path.exists() or _asked(path.read_text(encoding="utf-8")) != _asked(text):
            for name in (METRICS, REPORT):
                (self.root / name).unlink(missing_ok=True)
        write_text(path, text)


@contextmanager
def opened(root: Path, *, name: str, force: bool = False) -> Iterator[RunFolder]:
    """Open a folder for the run `name`, make it if it is missing, and keep other processes out while it is open.

    A folder is taken if it is empty or holds a run of the same name, finished or not. With `force` any folder is
    taken; what is in it stays, except for files of a run. A folder that was made here and got no run is removed again.

    Raises:
        InputError: the folder holds another run or files that are not ours, or another process is writing to it.
        StoreError: it cannot be made or written.
    """
    new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        _check(root, name, force)
        with (root / ".lock").open("w") as lock:
            if not try_lock(lock.fileno()):
                raise InputError(
                    f"another rarec evaluate is writing to {str(root)!r}; wait for it, or choose another folder with "
                    "--out"
                )
            (root / "parts").mkdir(exist_ok=True)
            for folder in (root, *(path for path in root.iterdir() if path.is_dir())):
                for path in folder.iterdir():
                    if _LEFTOVER.fullmatch(path.name):  # of a process that was killed while it wrote
                        path.unlink(missing_ok=True)
            try:
                yield RunFolder(root)
            finally:
                if new and not (root / CONFIG).exists():
                    _remove_empty(root)
    except OSError as error:
        raise StoreError(
            f"cannot use the folder {str(root)!r}: {error.strerror or error}; choose another with --out"
        ) from error


def read_config(root: str | Path) -> dict[str, Any]:
    """The config.json of a run.

    Raises:
        InputError: there is none, or it is not ours or of a later version.
    """
    path = Path(root) / CONFIG
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; give the folder of a run, as rarec evaluate makes it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None
    if not isinstance(document, dict) or not isinstance(found := document.get("format"), int):
        raise InputError(f"{str(path)!r} is not the config.json of a run; give the folder that rarec evaluate made")
    if found > FORMAT:
        raise InputError(f"{str(path)!r} is of format {found!r}, this version reads {FORMAT}; update rarec")
    return document


def config_text(config: Mapping[str, Any]) -> str:
    return json.dumps({"format": FORMAT, **config}, indent=1, ensure_ascii=False) + "\n"


def sha256_of(path: Path) -> str:
    """Raises InputError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; check the path") from None
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}; check the path") from None


def sha256_of_folder(folder: Path) -> str:
    """Of all files' names and contents; hidden files do not count. Raises InputError if one cannot be read."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


@cache
def code_digest() -> str:
    """Of the sources that can change what a system answers."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(_NOT_CODE):
            digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _asked(text: str) -> object:
    """What decides the figures; the date does not."""
    try:
        document = json.loads(text)
        return {name: document.get(name) for name in ("format", "recipe", "inputs")}
    except (ValueError, AttributeError):
        return None


def _remove_empty(root: Path) -> None:
    """Remove a folder that holds only what `opened` makes."""
    with suppress(OSError):
        (root / "parts").rmdir()
        (root / ".lock").unlink()
        root.rmdir()


def _check(root: Path, name: str, force: bool) -> None:
    if force:
        return
    remedy = "choose another folder with --out, or add --force"
    if (root / CONFIG).exists():
        found = read_config(root).get("name")
        if found != name:
            raise InputError(f"{str(root)!r} holds the run {found!r}, not {name!r}; {remedy}")
        return
    # Our own come before config.json does, if the process is killed at its very start.
    foreign = sorted(path.name for path in root.iterdir() if not path.name.startswith(".") and path.name != "parts")
    if foreign:
        raise InputError(f"{str(root)!r} has files that are of no run, first {foreign[0]!r}; {remedy}")
