"""What every data set of conversations can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rarec.conversations.examples import Example, Links, examples_from_conversations
from rarec.conversations.lines import Progress
from rarec.errors import InputError
from rarec.types import Conversation, Item

SPLIT_ORDER = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class DataSetInfo:
    """What a reader of a table must know about a data set.

    Attributes:
        title: its name in print.
        licence: as far as its source states one.
        source: where it comes from, and what to cite.
        note: what is special about these files; may be empty.
    """

    title: str
    licence: str
    source: str
    note: str = ""


class Watch:
    """Looks on while a split is read: how far it is, and how many annotated mentions became items.

    Attributes:
        progress: called with (bytes read, bytes in all) of the file that is being read.
        annotated: mentions that the file marks.
        mapped: those of them that are an item of the catalogue's source.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress
        self.annotated = 0
        self.mapped = 0

    def mention(self, *, mapped: bool) -> None:
        """Count one annotated mention."""
        self.annotated += 1
        self.mapped += mapped


class DataSet(ABC):
    """Conversations in splits, with the items that they speak of. Files are read when they are asked for.

    Attributes:
        name: as `open_data_set` knows it; for a set of the own format, the one that it gives itself.
        folder: where its files lie.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    @property
    @abstractmethod
    def info(self) -> DataSetInfo:
        """Title, licence, source and what is special."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """The splits whose file exists: train, valid, test, then others by name. May be empty."""

    @abstractmethod
    def files(self, split: str) -> tuple[Path, ...]:
        """The files that decide the conversations and examples of a split, for hashes.

        Raises:
            InputError: there is no such split; those that exist are listed.
        """

    @abstractmethod
    def items(self) -> list[Item]:
        """The data set's own catalogue, ordered, each id once.

        For data sets whose catalogue is a published vocabulary, annotations may name items outside it;
        `rarec data show` counts such targets.

        Raises:
            InputError: a file is missing or wrong.
        """

    def corpus(self, *, progress: Progress | None = None) -> list[Item] | None:  # noqa: ARG002 - some have one
        """The whole corpus that the items belong to, in its order; None if there is none beside them.

        Args:
            progress: called with (items read, items in all).
        """
        return None

    def corpus_popularity(self) -> list[float] | None:
        """Of each item of `corpus`, in its order, without reading the items where that can be had."""
        corpus = self.corpus()
        return None if corpus is None else [item.popularity for item in corpus]

    def corpus_size(self) -> int | None:
        """How many items `corpus` has, without reading them where that can be had."""
        corpus = self.corpus()
        return None if corpus is None else len(corpus)

    @abstractmethod
    def read(self, split: str, watch: Watch) -> Iterator[Conversation]:
        """The conversations of a split that exists; what `conversations` calls after its check."""

    def conversations(self, split: str, *, watch: Watch | None = None) -> Iterator[Conversation]:
        """The conversations of a split in the file's order, one at a time, with mentions linked.

        Raises:
            InputError: there is no such split (those that exist are listed), or, while reading, a line is wrong.
        """
        self.require(split)
        return self.read(split, watch or Watch())

    def examples(
        self,
        split: str,
        *,
        linker: Links | None = None,  # noqa: ARG002 - some need it
        watch: Watch | None = None,
    ) -> list[Example]:
        """The turns to predict: every assistant turn that mentions an item, unless the data set brings its own.

        Args:
            linker: finds mentions where a data set's own examples do not say where they stand; None builds one
                from the catalogue, if it is needed.
            watch: looks on while the split is read.
        Raises:
            InputError: there is no such split, or a line is wrong.
        """
        return examples_from_conversations(self.conversations(split, watch=watch))

    def has_conversations(self, split: str) -> bool:
        """Whether a split has whole conversations, and not only examples."""
        return split in self.splits()

    def brings_examples(self, split: str) -> bool:  # noqa: ARG002 - some have them for some splits
        """Whether the examples of a split come from its files, and are not made of its conversations."""
        return False

    def require(self, split: str) -> None:
        """Raise InputError unless there is such a split."""
        if split not in (known := self.splits()):
            listed = f"it has {', '.join(map(repr, known))}" if known else "it has none"
            raise InputError(f"{self.name!r} has no split {split!r} under {str(self.folder)!r}; {listed}")


def ordered_splits(names: set[str]) -> tuple[str, ...]:
    """Split names in the order in which they are used: train, valid, test, then the others by name."""
    return (*(name for name in SPLIT_ORDER if name in names), *sorted(names.difference(SPLIT_ORDER)))
