"""Where a data set's files lie: in its own folder, or in a data folder that holds many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rarec.errors import InputError

PACKINGS = ("", ".zst", ".gz")
_SHARED = ("mapping", "corpus")


@dataclass(frozen=True, slots=True)
class Folder:
    """The folders of one data set.

    Attributes:
        own: the data set's files.
        root: the folder that also holds mapping/, corpus/ and eval/; the own folder itself if there are none.
    """

    own: Path
    root: Path

    @classmethod
    def of(cls, folder: str | Path, name: str) -> Folder:
        """Take a data folder with ``<name>/`` in it, or the data set's own folder.

        The own folder belongs to the data folder around it if that has mapping/ or corpus/.

        Raises:
            InputError: there is no such folder.
        """
        path = Path(folder)
        if not path.is_dir():
            raise InputError(f"no folder {str(path)!r}; give a data folder, or the data set's own")
        if (path / name).is_dir():
            return cls(path / name, path)
        parent = path.resolve().parent
        if any((path / shared).is_dir() for shared in _SHARED):
            return cls(path, path)
        return cls(path, parent if any((parent / shared).is_dir() for shared in _SHARED) else path)

    @property
    def corpus(self) -> Path:
        return self.root / "corpus" / "movies.parquet"

    @property
    def crs_items(self) -> Path:
        return self.root / "mapping" / "crs_items.parquet"

    @property
    def redial_ids(self) -> Path:
        return self.root / "mapping" / "redial_movie_ids.parquet"


def packed(stem: Path) -> Path | None:
    """The file of that name, or the one with .zst or .gz behind it; None if there is none."""
    for ending in PACKINGS:
        path = stem.with_name(stem.name + ending)
        if path.is_file():
            return path
    return None


def splits_in(folder: Path, suffix: str) -> dict[str, Path]:
    """Split -> file, for the files ``<split><suffix>`` of a folder, packed or not; no folder has none."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        for ending in PACKINGS:
            name = path.name.removesuffix(ending) if ending else path.name
            split = name.removesuffix(suffix)
            if name.endswith(suffix) and split and path.is_file() and (not ending or path.name.endswith(ending)):
                found.setdefault(split, path)
    return found
