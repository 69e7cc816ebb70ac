"""What figures were computed from: files by their hash, packages by their version."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rarec.evaluate.folder import sha256_of

PACKAGES = (
    "rarec",
    "numpy",
    "scipy",
    "pyarrow",
    "torch",
    "sentence-transformers",
    "bm25s",
    "implicit",
    "cornac",
    "openai",
)


def fingerprint(path: Path, *, root: Path | None = None) -> dict[str, Any]:
    """``{"path", "bytes", "sha256"}`` of a file; the path is relative to `root` where it lies in it.

    Raises:
        InputError: it cannot be read.
    """
    digest = sha256_of(path)
    inside = root is not None and path.is_relative_to(root)
    return {
        "path": path.relative_to(root).as_posix() if inside and root is not None else path.name,
        "bytes": path.stat().st_size,
        "sha256": digest,
    }


def fingerprints(paths: Iterable[Path], *, root: Path | None = None) -> list[dict[str, Any]]:
    """One for each different file, in order. Raises InputError if one cannot be read."""
    return [fingerprint(path, root=root) for path in dict.fromkeys(paths)]


def surroundings() -> dict[str, Any]:
    """Date (UTC), versions of what takes part, and the platform."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Package -> version, of those that are installed; Python's too."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def first_difference(found: object, expected: object, *, place: str = "") -> str | None:
    """Where two JSON documents differ first, with both values; None if they are equal."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in dict.fromkeys([*expected, *found]):
            if key not in found or key not in expected:
                return f"{place}.{key}: only {'expected' if key in expected else 'found'}".lstrip(".")
            if difference := first_difference(found[key], expected[key], place=f"{place}.{key}"):
                return difference
        return None
    if isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            return f"{place}: {len(found)} entries, expected {len(expected)}".lstrip(".")
        pairs = enumerate(zip(found, expected, strict=True))
        return next(
            (d for at, (ours, theirs) in pairs if (d := first_difference(ours, theirs, place=f"{place}[{at}]"))), None
        )
    # NaN is never written, so equality is identity of the numbers.
    same = found == expected and type(found) is type(expected)
    return None if same else f"{place}: {found!r}, expected {expected!r}".lstrip(".")


__all__ = ["PACKAGES", "fingerprint", "fingerprints", "first_difference", "surroundings", "versions"]
