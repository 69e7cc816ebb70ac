"""Data sets by name, each from a folder that the user names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rarec.conversations.data_set import DataSet
from rarec.conversations.film_dialogues import InspiredSet, RedialSet
from rarec.conversations.folder import packed
from rarec.conversations.inspired import read_inspired
from rarec.conversations.own_format import ITEMS, JsonlSet
from rarec.conversations.reddit import RedditSet
from rarec.conversations.reddit_v2 import RedditV2Set
from rarec.conversations.redial import read_redial
from rarec.errors import InputError
from rarec.types import Conversation

_OPENERS: Mapping[str, Callable[[Path], DataSet]] = {
    "redial": RedialSet,
    "inspired": InspiredSet,
    "reddit-v1": RedditSet,
    "reddit-v2": RedditV2Set,
    "jsonl": JsonlSet,
}
DATA_SETS = tuple(_OPENERS)
"""What `open_data_set` knows; "jsonl" is the own format of any domain."""

_READERS: dict[str, Callable[[Path], Iterator[Conversation]]] = {"redial": read_redial, "inspired": read_inspired}
DIALOGUE_SETS = tuple(_READERS)
"""The data sets of films that `read_split` reads by their place under a data folder."""


def open_data_set(name: str, folder: str | Path) -> DataSet:
    """A data set; only its folder is looked at, its files are read when they are asked for.

    Args:
        name: one of `DATA_SETS`.
        folder: the data set's own folder, or a data folder that holds ``<name>/`` (``reddit/`` for both Reddit
            sets) with ``mapping/``, ``corpus/`` and ``eval/`` beside it. For "jsonl" always the own folder.
    Raises:
        InputError: no such name (those that there are are listed), or no such folder.
    """
    if name not in _OPENERS:
        raise InputError(f"unknown data set {name!r}; use one of {', '.join(DATA_SETS)}")
    return _OPENERS[name](Path(folder))


def data_sets_in(folder: str | Path) -> list[DataSet]:
    """Every data set that has a split in a folder: a data folder, one data set's own, or one of the own format.

    A folder with items.jsonl is one of the own format and nothing else; so are the folders in a data folder
    that have one.

    Raises:
        InputError: there is no such folder.
    """
    path = Path(folder)
    if packed(path / ITEMS) is not None:
        return [JsonlSet(path)]
    found = [data_set for name in DATA_SETS if name != "jsonl" and (data_set := _OPENERS[name](path)).splits()]
    found = [data_set for data_set in found if data_set.name not in _READERS or _is_its_own(data_set, path)]
    inner = sorted(child for child in path.iterdir() if child.is_dir() and packed(child / ITEMS) is not None)
    return found + [JsonlSet(child) for child in inner]


def _is_its_own(data_set: DataSet, folder: Path) -> bool:
    """Whether the files are the data set's: merged ones have the same names in all, so the ids must say it."""
    if (folder / data_set.name).is_dir():
        return True
    split = data_set.splits()[0]
    try:
        first = next(data_set.conversations(split), None)
    except InputError:
        if _has_its_own_name(data_set.files(split)[0]):
            raise
        return False
    return first is not None and first.id.startswith(f"{data_set.name}_")


def _has_its_own_name(path: Path) -> bool:
    """Whether a file is called as only one data set calls its files, so that an error in it is to be told."""
    return ".tsv" in path.suffixes or path.name.partition(".")[0].endswith("_data")


def read_split(data_root: str | Path, name: str, split: str) -> Iterator[Conversation]:
    """The conversations of ``<data_root>/<name>/<split>.jsonl``, or of that file with .zst or .gz.

    Raises:
        InputError: no such data set or file, or a line is wrong.
    """
    if name not in _READERS:
        raise InputError(f"no reader for the data set {name!r}; use {' or '.join(DIALOGUE_SETS)}")
    stem = Path(data_root) / name / f"{split}.jsonl"
    path = packed(stem)
    if path is None:
        raise InputError(f"no file {str(stem)!r}, nor with .zst or .gz; is {str(data_root)!r} the data folder?")
    return _READERS[name](path)
