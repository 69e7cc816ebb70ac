"""What a recipe says can be downloaded, and where to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rarec.corpus.recipe import CorpusRecipe
from rarec.errors import InputError


@dataclass(frozen=True, slots=True)
class Download:
    """One file.

    Attributes:
        key: that names it in the recipe, for messages.
        path: where it belongs.
        sha256: of the whole file, in small letters.
    """

    key: str
    path: Path
    url: str
    sha256: str


def downloads_of(recipe: CorpusRecipe, *, sources: Collection[str] = ()) -> list[Download]:
    """Each file of a recipe that has an address, once, in the recipe's order.

    Args:
        sources: names; none is all.
    Raises:
        InputError: a source is unknown, no file has an address, one belongs outside of the folder of dumps (a recipe
            of somebody else must not write elsewhere), or two belong in one place and are not the same.
    """
    names = [source.name for source in recipe.sources]
    if unknown := sorted(set(sources) - set(names)):
        raise InputError(f"the recipe has no source {unknown[0]!r}; it has {', '.join(names)}")
    found: dict[Path, Download] = {}
    for source in recipe.sources:
        if sources and source.name not in sources:
            continue
        paths = recipe.paths_of(source)
        for name, address in source.urls.items():
            wanted = Download(f"{source.name}.{name}", paths[name], address.url, address.sha256.lower())
            if not wanted.path.parent.resolve().is_relative_to(recipe.folder.resolve()):
                raise InputError(
                    f"{wanted.key} would be downloaded to {str(wanted.path)!r}, outside of the folder of dumps "
                    f"{str(recipe.folder)!r}; give a path inside it, or another folder with --folder"
                )
            first = found.setdefault(wanted.path, wanted)
            if (first.url, first.sha256) != (wanted.url, wanted.sha256):
                raise InputError(
                    f"{first.key} and {wanted.key} are both to be downloaded to {str(wanted.path)!r}, from different "
                    "addresses or with different hashes; give one another name in files"
                )
    if not found:
        raise InputError(
            "no file of the recipe has an address; give urls.NAME = { url, sha256 } in its [[sources]], or put the "
            f"files into {str(recipe.folder)!r} yourself"
        )
    return list(found.values())
