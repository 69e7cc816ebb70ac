"""Which bundle of a store is live: one small file, so that a switch is one rename."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rarec.errors import InputError, StoreError
from rarec.files import write_text

FORMAT: Final = 1
FIRST = "bundle"
"""The folder that `rarec init` makes; it is live in a store without the file."""
FOLDER = "bundles"
"""Later ones lie here, each in a folder of its own that is never changed."""

NAME = rf"({FIRST}|{FOLDER}/[A-Za-z0-9_-]+)"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


class LiveBundle(BaseModel):
    """What the file says.

    Attributes:
        live: folder of the live bundle within the store, with a slash on all systems.
        before: those that were live before it, the latest last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    live: Name = FIRST
    before: tuple[Name, ...] = ()


def pointer(root: Path) -> Path:
    """The file of the store at `root`."""
    return root / "live.json"


def read_live(root: Path) -> LiveBundle:
    """What is live in the store at `root`; the first bundle if nothing was ever switched.

    Raises:
        StoreError: the file cannot be read, is damaged, or is of a later version.
    """
    path = pointer(root)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):  # whoever opens the store says what is wrong with the latter
        return LiveBundle()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {str(path)!r}: {error}; check its rights") from error
    try:
        return LiveBundle.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(
            f"{str(path)!r} does not say which bundle is live: {error.errors()[0]['msg']}; update rarec if a later "
            f"version wrote it, else delete it (the bundle in {FIRST!r} is live then)"
        ) from error


def before_live(root: Path) -> tuple[LiveBundle, str]:
    """What is live in the store at `root`, and the folder of what was so before it.

    Raises:
        InputError: nothing was.
        StoreError: as `read_live`.
    """
    found = read_live(root)
    if not found.before:
        raise InputError(f"nothing was promoted in {str(root)!r} that could be taken back")
    return found, found.before[-1]


def write_live(root: Path, live: LiveBundle) -> None:
    """Switch: readers see what was live or what is. Raises StoreError if the disk is full or not writable."""
    write_text(pointer(root), live.model_dump_json(indent=2) + "\n")
