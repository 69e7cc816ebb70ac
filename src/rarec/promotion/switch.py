"""Puts a bundle in the live one's place, and back. A kill at any moment leaves the one live or the other."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rarec.embed.factory import embedder_from
from rarec.errors import BundleError, InputError, StoreError
from rarec.files import atomic_write, held_alone, place_folder
from rarec.live import FIRST, FOLDER, NAME, LiveBundle, before_live, read_live, write_live
from rarec.promotion.decisions import Decisions
from rarec.promotion.models import RETRIEVER, Bundle, read_bundle
from rarec.retriever.bundle import read_manifest
from rarec.settings import Settings, StorePaths

_ARRIVING = ".arriving-"


@contextmanager
def only_one(paths: StorePaths) -> Iterator[None]:
    """Hold the store's promotions for oneself: decisions, their ledgers and the switch.

    Raises:
        StoreError: another process is at it, or the folder cannot be written.
    """
    taken = f"another promotion of {str(paths.root)!r} is running; wait until it has ended"
    with held_alone(paths.promotion / "lock", taken=taken):
        yield


def install(paths: StorePaths, new: Bundle, *, embedder: str) -> str:
    """Copy a bundle into the store, to a folder of its own; its name, which `go_live` takes. Nothing is live yet.

    Copies that a kill left unfinished are removed. Only for whoever holds `only_one`.

    Raises:
        StoreError: the disk is full or the store cannot be written.
        InputError: the files changed since they were read, so that the copy is another bundle.
    """
    folder = paths.root / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        for left in folder.glob(f"{_ARRIVING}*"):
            shutil.rmtree(left)
        arriving = folder / f"{_ARRIVING}{secrets.token_hex(4)}"
        arriving.mkdir()
        for path in sorted(path for path in new.folder.iterdir() if path.is_file()):
            with atomic_write(arriving / path.name) as file, path.open("rb") as source:
                shutil.copyfileobj(source, file)
    except OSError as error:
        raise StoreError(f"cannot copy the bundle into {str(folder)!r}: {error.strerror or error}") from error
    if read_bundle(arriving, embedder=embedder).digests != new.digests:
        shutil.rmtree(arriving)
        raise InputError(f"the bundle {str(new.folder)!r} changed while it was measured; run the command again")
    name = f"{FOLDER}/{_next_number(folder):04d}-{new.digests[RETRIEVER][:12]}"
    place_folder(arriving, paths.root / name)
    return name


def go_live(paths: StorePaths, name: str) -> None:
    """Make an installed bundle the live one; the one before it can be taken back. Raises StoreError as `write_live`."""
    was = read_live(paths.root)
    write_live(paths.root, LiveBundle(live=name, before=(*was.before, was.live)))


def roll_back(paths: StorePaths, settings: Settings, *, embedder: str | None = None) -> tuple[str, str]:
    """Make the bundle live that was so before; again, the one before that.

    Args:
        embedder: name of the store's; found from its settings if None.
    Returns:
        Folders of what was live, and of what is.
    Raises:
        InputError: there is none before it.
        BundleError: it is damaged, or of another embedder than the store's now.
        StoreError: another promotion is running, or the store cannot be written.
    """
    with only_one(paths):
        was, last = before_live(paths.root)
        name = embedder_from(settings.embedder).name if embedder is None else embedder
        found = read_bundle(paths.root / last, embedder=name)
        Decisions(paths.promotion).switched("rollback", was.live, last, found.digests)
        write_live(paths.root, LiveBundle(live=last, before=was.before[:-1]))
    return was.live, last


@dataclass(frozen=True, slots=True)
class Installed:
    """A bundle that lies in the store.

    Attributes:
        weights: sha256 of the retriever's; empty if it cannot be read.
    """

    name: str
    weights: str
    live: bool


def installed(paths: StorePaths) -> tuple[Installed, ...]:
    """All bundles of a store by name; whether they are whole is not looked at. Raises StoreError as `read_live`."""
    live = read_live(paths.root).live
    later = paths.root / FOLDER
    names = (
        [FIRST, *(f"{FOLDER}/{path.name}" for path in sorted(later.iterdir()) if path.is_dir())]
        if later.is_dir()
        else [FIRST]
    )
    found = []
    for name in names:
        if re.fullmatch(NAME, name) and (paths.root / name).is_dir():
            try:
                weights = read_manifest(paths.root / name, RETRIEVER).sha256
            except BundleError:
                weights = ""
            found.append(Installed(name, weights, name == live))
    return tuple(found)


def make_live(paths: StorePaths, name: str, *, embedder: str) -> tuple[str, str]:
    """Make a bundle live that lies in the store, by its owner's word: nothing is measured.

    Args:
        embedder: name of the store's.
    Returns:
        Folders of what was live, and of what is.
    Raises:
        InputError: there is no such bundle, or it is live already.
        BundleError: it is damaged, or of another embedder.
        StoreError: another promotion is running, or the store cannot be written.
    """
    with only_one(paths):
        was = read_live(paths.root)
        known = [one.name for one in installed(paths)]
        if name not in known or name == was.live:
            why = "is live already" if name == was.live else "is none of the store's"
            raise InputError(f"the bundle {name!r} {why}; those that lie there are: {', '.join(known)}")
        found = read_bundle(paths.root / name, embedder=embedder)
        Decisions(paths.promotion).switched("by hand", was.live, name, found.digests)
        go_live(paths, name)
    return was.live, name


def _next_number(folder: Path) -> int:
    numbers = [int(path.name[:4]) for path in folder.iterdir() if path.name[:4].isdigit()]
    return max(numbers, default=0) + 1
