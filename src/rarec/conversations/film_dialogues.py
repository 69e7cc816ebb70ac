"""ReDial and INSPIRED as data sets: merged files, their own files, and the examples of the published test."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

from rarec.catalogue.sources.corpus import corpus_items, corpus_popularity
from rarec.conversations.data_set import DataSet, DataSetInfo, Watch, ordered_splits
from rarec.conversations.examples import Example, Links, read_examples
from rarec.conversations.folder import Folder, splits_in
from rarec.conversations.inspired import read_inspired
from rarec.conversations.inspired_tsv import movie_titles, read_inspired_tsv
from rarec.conversations.lines import Progress, json_records
from rarec.conversations.redial import read_redial, redial_items, redial_titles
from rarec.conversations.redial_official import mentioned_titles
from rarec.conversations.titles import title_and_year, titled_item
from rarec.conversations.vocabulary import (
    corpus_ids_by_title,
    corpus_size,
    data_set_items,
    has_entities,
    items_of_corpus,
    mapped_entities,
)
from rarec.errors import InputError
from rarec.types import Conversation, Item, ItemId

HELD_OUT_TENTH = 10
_SPLIT = re.compile(r"(train|valid|test)(_[a-z0-9]+)?")
_HALF = " test_a is one half of the test, by dialogue."


class FilmDialogues(DataSet):
    """What ReDial and INSPIRED have in common.

    With mapping/ and corpus/ beside them, items are those of the corpus; without, they are made of the titles that
    the dialogues annotate.
    """

    def __init__(self, name: str, folder: str | Path) -> None:
        super().__init__(name, Path(folder))
        self._place = Folder.of(folder, name)
        self._items: list[Item] | None = None

    def splits(self) -> tuple[str, ...]:
        return ordered_splits({*self._conversation_files(), *self._example_files()})

    def files(self, split: str) -> tuple[Path, ...]:
        self.require(split)
        both = (self._conversation_files().get(split), self._example_files().get(split))
        return tuple(path for path in both if path is not None)

    def items(self) -> list[Item]:
        if self._items is None:
            self._items = self._mapped_items() if self._mapped() else self._own_items()
        return self._items

    def corpus(self, *, progress: Progress | None = None) -> list[Item] | None:
        return list(corpus_items(self._place.corpus, progress=progress)) if self._mapped() else None

    def corpus_popularity(self) -> list[float] | None:
        return corpus_popularity(self._place.corpus) if self._mapped() else None

    def corpus_size(self) -> int | None:
        return corpus_size(self._place.corpus) if self._mapped() else None

    def has_conversations(self, split: str) -> bool:
        return split in self._conversation_files()

    def brings_examples(self, split: str) -> bool:
        return split in self._example_files()

    def read(self, split: str, watch: Watch) -> Iterator[Conversation]:
        path = self._conversation_files().get(split)
        if path is None:
            have = ", ".join(map(repr, ordered_splits(set(self._conversation_files())))) or "none"
            raise InputError(f"{self.name!r} has examples of {split!r} but no conversations; it has those of {have}")
        return self._read_file(path, split, watch)

    def examples(self, split: str, *, linker: Links | None = None, watch: Watch | None = None) -> list[Example]:
        """The examples of ``eval/<name>_<split>.jsonl`` where there are some, else those of the conversations."""
        self.require(split)
        path = self._example_files().get(split)
        if path is None:
            return super().examples(split, watch=watch)
        progress = None if watch is None else watch.progress
        return read_examples(path, catalogue_items=self.items(), linker=linker, progress=progress)

    def _example_files(self) -> dict[str, Path]:
        if not self._mapped():
            return {}  # their targets are ids of the corpus
        start = f"{self.name}_"
        found = splits_in(self._place.root / "eval", ".jsonl")
        named = {split.removeprefix(start): path for split, path in found.items() if split.startswith(start)}
        return {split: path for split, path in named.items() if _SPLIT.fullmatch(split)}

    def _merged_files(self) -> dict[str, Path]:
        found = splits_in(self._place.own, ".jsonl")
        return {name: path for name, path in found.items() if _SPLIT.fullmatch(name) and not name.endswith("_data")}

    @abstractmethod
    def _mapped(self) -> bool:
        """Whether the items are those of the corpus."""

    @abstractmethod
    def _conversation_files(self) -> dict[str, Path]:
        """Split -> file of its conversations."""

    @abstractmethod
    def _read_file(self, path: Path, split: str, watch: Watch) -> Iterator[Conversation]: ...

    @abstractmethod
    def _own_items(self) -> list[Item]:
        """The catalogue that the titles make."""

    def _mapped_items(self) -> list[Item]:
        return data_set_items(self._place.root, self.name)


class RedialSet(FilmDialogues):
    """ReDial: ``<split>.jsonl`` in the merged format, or its own ``train_data.jsonl`` and ``test_data.jsonl``.

    ReDial publishes no validation split. Where there is a train_data.jsonl and no file of valid, a tenth of its
    dialogues (by the hash of their id) is valid, and train is the rest.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__("redial", folder)

    @property
    def info(self) -> DataSetInfo:
        note = "Complete it has 10,006 dialogues of train and 1,342 of test."
        if self._holds_out():
            note += " valid is a tenth of train_data.jsonl, by the hash of the dialogue's id."
        return DataSetInfo(
            title="ReDial",
            licence="CC BY 4.0",
            source="Li et al., NeurIPS 2018; redialdata.github.io",
            note=note + _half(self),
        )

    def _mapped(self) -> bool:
        return self._place.redial_ids.is_file() and self._place.corpus.is_file()

    def _conversation_files(self) -> dict[str, Path]:
        own = splits_in(self._place.own, "_data.jsonl")
        files = {**{split: path for split, path in own.items() if _SPLIT.fullmatch(split)}, **self._merged_files()}
        if self._holds_out():
            files["valid"] = files["train"]
        return files

    def _holds_out(self) -> bool:
        merged, own = self._merged_files(), splits_in(self._place.own, "_data.jsonl")
        return "train" in own and not {"train", "valid"} & merged.keys() and "valid" not in own

    def _read_file(self, path: Path, split: str, watch: Watch) -> Iterator[Conversation]:
        keep: Callable[[str], bool] | None = None
        if self._holds_out() and split in ("train", "valid"):
            keep = lambda name: is_held_out(name) == (split == "valid")  # noqa: E731
        if not self._mapped():
            return read_redial(path, titles={}, ids=None, keep=keep, watch=watch)
        ids = self._place.redial_ids
        return read_redial(path, titles=redial_titles(ids), ids=redial_items(ids), keep=keep, watch=watch)

    def _own_items(self) -> list[Item]:
        titles: dict[str, str] = {}
        for path in sorted(set(self._conversation_files().values())):
            for record in json_records(path):
                if not record.has("messages"):
                    raise InputError(
                        f"{str(path)!r} line {record.line} names items of the corpus; put mapping/ and corpus/ beside "
                        f"it, or use ReDial's own files"
                    )
                titles |= mentioned_titles(record)
        order = sorted(titles, key=lambda movie: (len(movie), movie))
        return [titled_item(titles[movie], ItemId(movie)) for movie in order]

    def _mapped_items(self) -> list[Item]:
        if has_entities(self._place.crs_items, "redial"):
            return super()._mapped_items()
        ids = sorted(set(redial_items(self._place.redial_ids).values()), key=int)
        return items_of_corpus(self._place.corpus, ids, name=self.name)


class InspiredSet(FilmDialogues):
    """INSPIRED: ``<split>.jsonl`` in the merged format, or its own train.tsv, dev.tsv and test.tsv.

    Its own files are found beside the merged ones, or in data/dialog_data as its authors publish them.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__("inspired", folder)

    @property
    def info(self) -> DataSetInfo:
        return DataSetInfo(
            title="INSPIRED",
            licence="none stated by its authors; ask before you redistribute it",
            source="Hayati et al., EMNLP 2020; github.com/sweetpeach/Inspired",
            note=f"Complete it has 801 dialogues of train, 99 of valid and 99 of test.{_half(self)}",
        )

    def _mapped(self) -> bool:
        return self._place.corpus.is_file() and has_entities(self._place.crs_items, "inspired")

    def _conversation_files(self) -> dict[str, Path]:
        own = self._place.own
        found = splits_in(own / "data" / "dialog_data", ".tsv") | splits_in(own, ".tsv")
        named = {"valid" if split == "dev" else split: path for split, path in found.items()}
        return {split: path for split, path in named.items() if _SPLIT.fullmatch(split)} | self._merged_files()

    def _read_file(self, path: Path, split: str, watch: Watch) -> Iterator[Conversation]:  # noqa: ARG002
        if not _is_tsv(path):
            return read_inspired(path, watch=watch)
        if not self._mapped():
            return read_inspired_tsv(path, item_of=lambda title: titled_item(title).id, watch=watch)
        known = mapped_entities(self._place.crs_items, "inspired", column="source_title")
        by_title = corpus_ids_by_title(self._place.corpus)

        def item_of(title: str) -> ItemId | None:
            if title in known:
                return known[title]
            name, year = title_and_year(title)
            return None if year is None else by_title.get((name.casefold(), year))

        return read_inspired_tsv(path, item_of=item_of, watch=watch)

    def _own_items(self) -> list[Item]:
        items: dict[ItemId, Item] = {}
        for path in sorted(set(self._conversation_files().values())):
            if not _is_tsv(path):
                raise InputError(
                    f"{str(path)!r} names items of the corpus; put mapping/ and corpus/ beside it, or use INSPIRED's "
                    "own files"
                )
            for title in movie_titles(path):
                item = titled_item(title)
                items.setdefault(item.id, item)
        return [items[item] for item in sorted(items)]


def is_held_out(dialogue: str) -> bool:
    """Whether a dialogue of ReDial's train_data.jsonl belongs to the held-out tenth; by the hash of its id."""
    return (
        int.from_bytes(hashlib.sha256(dialogue.encode("utf-8", "backslashreplace")).digest()[:8], "big")
        % HELD_OUT_TENTH
        == 0
    )


def _half(data_set: DataSet) -> str:
    return _HALF if "test_a" in data_set.splits() else ""


def _is_tsv(path: Path) -> bool:
    return ".tsv" in path.suffixes
