"""Figures of a data set: what a table of results must be read with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rarec.conversations.data_set import DataSet, DataSetInfo, Watch
from rarec.conversations.examples import Example, Links
from rarec.types import Conversation, ItemId

Progress = Callable[[str, int, int], None]
"""Called with (what is read, done, in all)."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of n; n = 0 is possible and has no value."""

    part: int
    n: int

    @property
    def value(self) -> float | None:
        return self.part / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """Figures of one split.

    Attributes:
        conversations, turns: 0 where a split has examples only.
        mentions: of conversations; annotated mentions that are an item, repeated ones included.
        mentions_mapped: annotated mentions that are an item, of all that are annotated.
        mentions_found: mentions that the linker finds in their own turn's text, of those whose turn has a text;
            None without one.
        examples: turns to predict.
        targets: distinct (example, item) pairs.
        targets_mapped: annotated ground truths that are an item, of all that are annotated, repeated ones included;
            None where examples are made of conversations, whose turns without an item are no examples.
        repeated: targets that their conversation already names.
        outside: targets that are not in the data set's own catalogue.
        cold: targets that no training conversation mentions; None for train itself, and where there is no train.
    """

    split: str
    conversations: int
    turns: int
    mentions: int
    mentions_mapped: Share
    mentions_found: Share | None
    examples: int
    targets: int
    targets_mapped: Share | None
    repeated: Share
    outside: Share
    cold: Share | None


@dataclass(frozen=True, slots=True)
class DataSetSummary:
    """Figures of a data set.

    Attributes:
        items: in its own catalogue.
        corpus: items of the corpus that they belong to; None if there is none.
    """

    name: str
    info: DataSetInfo
    items: int
    corpus: int | None
    splits: tuple[SplitSummary, ...]


def summarise(data_set: DataSet, *, linker: bool = False, progress: Progress | None = None) -> DataSetSummary:
    """Read every split of a data set and count.

    Args:
        linker: also find the share of annotated mentions that our linker finds; it is built over the data set's
            items.
        progress: called with (split, bytes read, bytes in all) of the conversations.
    Raises:
        InputError: a file is missing or a line is wrong.
        MissingExtra: a package to read the files is not installed.
    """
    items = frozenset(item.id for item in data_set.items())
    links = _linker(data_set) if linker else None
    trained: frozenset[ItemId] | None = None
    splits = []
    for split in data_set.splits():  # train is the first
        counts = _Counts(links)
        examples = data_set.examples(split, linker=links)
        counts.read(data_set, split, progress)
        brought = data_set.brings_examples(split)
        splits.append(_summary(split, counts, examples, items, trained, brought=brought))
        if split == "train":
            trained = frozenset(counts.items)
    return DataSetSummary(data_set.name, data_set.info, len(items), data_set.corpus_size(), tuple(splits))


class _Counts:
    """What the conversations of a split come to."""

    def __init__(self, linker: Links | None) -> None:
        self._linker = linker
        self.watch = Watch()
        self.conversations = self.turns = self.mentions = self.spoken = self.found = 0
        self.items: set[ItemId] = set()

    def read(self, data_set: DataSet, split: str, progress: Progress | None) -> None:
        if progress is not None:
            self.watch.progress = lambda done, total: progress(f"{data_set.name} {split}", done, total)
        if not data_set.has_conversations(split):
            return
        for conversation in data_set.conversations(split, watch=self.watch):
            self._add(conversation)

    def _add(self, conversation: Conversation) -> None:
        self.conversations += 1
        self.turns += len(conversation.turns)
        for turn in conversation.turns:
            mentions = turn.mentions or ()
            self.mentions += len(mentions)
            self.items.update(mention.item for mention in mentions)
            if self._linker is not None and mentions and turn.text.strip():
                self.spoken += len(mentions)
                linked = {mention.item for mention in self._linker.link(turn.text)}
                self.found += sum(mention.item in linked for mention in mentions)

    @property
    def shares(self) -> tuple[Share, Share | None]:
        mapped = Share(self.watch.mapped, self.watch.annotated)
        return mapped, None if self._linker is None else Share(self.found, self.spoken)


def _summary(
    split: str,
    counts: _Counts,
    examples: Sequence[Example],
    items: frozenset[ItemId],
    trained: frozenset[ItemId] | None,
    *,
    brought: bool,
) -> SplitSummary:
    targets = [target for example in examples for target in example.targets]
    annotated = [item for example in examples for item in example.annotated]
    mapped, found = counts.shares
    return SplitSummary(
        split=split,
        conversations=counts.conversations,
        turns=counts.turns,
        mentions=counts.mentions,
        mentions_mapped=mapped,
        mentions_found=found,
        examples=len(examples),
        targets=len(targets),
        targets_mapped=Share(sum(item is not None for item in annotated), len(annotated)) if brought else None,
        repeated=Share(sum(len(example.repeated) for example in examples), len(targets)),
        outside=Share(sum(target not in items for target in targets), len(targets)),
        cold=None if trained is None else Share(sum(target not in trained for target in targets), len(targets)),
    )


def _linker(data_set: DataSet) -> Links:
    from rarec.catalogue.linker import Linker

    return Linker(data_set.items())
