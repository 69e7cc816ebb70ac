"""Reddit-Movie v1 as a data set: paths through threads, with films marked by IMDb id."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from rarec.catalogue.sources.corpus import corpus_items, corpus_popularity
from rarec.conversations.data_set import DataSet, DataSetInfo, Watch, ordered_splits
from rarec.conversations.examples import Example, Links, examples_from_conversations
from rarec.conversations.folder import Folder, splits_in
from rarec.conversations.lines import Progress, json_records, json_table
from rarec.conversations.reddit_rows import Row, conversation_rows
from rarec.conversations.spans import SpanFinder, without_year
from rarec.conversations.titles import titled_item
from rarec.conversations.vocabulary import (
    corpus_ids_by_imdb,
    corpus_size,
    entity_names,
    has_entities,
    items_of_corpus,
    mapped_entities,
)
from rarec.errors import InputError
from rarec.types import Conversation, Item, ItemId, Mention, Turn

NAMES = "id2name.json"
_SPLIT = re.compile(r"(train|valid|validation|test)(_[a-z0-9]+)?")


class RedditSet(DataSet):
    """Reddit-Movie v1: ``train``, ``valid`` and ``test`` as .csv or .jsonl, and id2name.json.

    A conversation is one path through a thread, from the request to a last comment; paths of a thread share
    turns, so an example is made once for each turn that recommends, and its dialogue is the thread.
    With corpus/ beside the folder, items are those of the corpus with the same IMDb id; without, the IMDb ids are
    the item ids and id2name.json is the catalogue.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__("reddit-v1", Path(folder))
        self._place = Folder.of(folder, "reddit")

    @property
    def info(self) -> DataSetInfo:
        return DataSetInfo(
            title="Reddit-Movie v1",
            licence="none stated; user content under Reddit's terms, for research",
            source="He et al., CIKM 2023; Hugging Face ZhankuiHe/reddit_movie_large_v1 and reddit_movie_small_v1",
            note="Conversations are paths through threads and share turns; each recommending turn is one example, "
            "resampled by thread. The text can be offensive.",
        )

    def splits(self) -> tuple[str, ...]:
        return ordered_splits(set(self._files))

    def files(self, split: str) -> tuple[Path, ...]:
        self.require(split)
        names = self._place.own / NAMES
        return (self._files[split], *((names,) if names.is_file() else ()))

    def items(self) -> list[Item]:
        if not self._mapped:
            return [titled_item(self._names[name], ItemId(name)) for name in sorted(self._names)]
        ids = sorted(set(self._ids.values()), key=int)
        return items_of_corpus(self._place.corpus, ids, name=self.name)

    def corpus(self, *, progress: Progress | None = None) -> list[Item] | None:
        return list(corpus_items(self._place.corpus, progress=progress)) if self._mapped else None

    def corpus_popularity(self) -> list[float] | None:
        return corpus_popularity(self._place.corpus) if self._mapped else None

    def corpus_size(self) -> int | None:
        return corpus_size(self._place.corpus) if self._mapped else None

    def read(self, split: str, watch: Watch) -> Iterator[Conversation]:
        for rows in conversation_rows(self._files[split], progress=watch.progress):
            yield self._conversation(rows, watch)

    def examples(
        self,
        split: str,
        *,
        linker: Links | None = None,  # noqa: ARG002 - marks are there
        watch: Watch | None = None,
    ) -> list[Example]:
        """One example for each turn of a thread that recommends; paths that share the turn give it once."""
        self.require(split)
        found: list[Example] = []
        seen: set[tuple[str, str]] = set()
        for rows in conversation_rows(self._files[split], progress=None if watch is None else watch.progress):
            for example in examples_from_conversations([self._conversation(rows, Watch())]):
                row = rows[int(example.turn)]
                if (row.thread, row.turn) not in seen:
                    seen.add((row.thread, row.turn))
                    found.append(replace(example, index=len(found), dialogue=row.thread, turn=row.turn))
        return found

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        own = self._place.own
        tables = splits_in(own, ".csv")
        named = {name: path for name, path in splits_in(own, ".jsonl").items() if _SPLIT.fullmatch(name)}
        lines = {name: path for name, path in named.items() if name not in tables and _is_v1(path)}
        found = {name: path for name, path in (tables | lines).items() if _SPLIT.fullmatch(name)}
        return {name.replace("validation", "valid"): path for name, path in found.items()}

    @cached_property
    def _mapped(self) -> bool:
        return self._place.corpus.is_file()

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """IMDb id -> "Title (year)"; those without a title are left out."""
        path = self._place.own / NAMES
        if path.is_file():
            return {name: title for name, title in json_table(path).items() if title.strip()}
        if self._mapped and has_entities(self._place.crs_items, "reddit"):
            return entity_names(self._place.crs_items, "reddit")
        raise InputError(f"no file {str(path)!r}; it comes with Reddit-Movie and names the films")

    @cached_property
    def _ids(self) -> Mapping[str, ItemId]:
        """IMDb id -> item, of the films that the data set names."""
        if not self._mapped:
            return {name: ItemId(name) for name in self._names}
        known = corpus_ids_by_imdb(self._place.corpus)
        if has_entities(self._place.crs_items, "reddit"):
            known |= mapped_entities(self._place.crs_items, "reddit", column="entity_id")
        return {name: known[name] for name in self._names if name in known}

    def _conversation(self, rows: Sequence[Row], watch: Watch) -> Conversation:
        return Conversation(tuple(self._turn(row, watch) for row in rows), id=rows[0].conversation)

    def _turn(self, row: Row, watch: Watch) -> Turn:
        text = html.unescape(row.text)
        finder = SpanFinder(text)
        mentions = []
        for mark in row.marks:
            title = self._names.get(mark, "")
            # A film that is no item takes its place in the text too, so that the next one does not.
            span = finder.title((title, without_year(title))) if title else None
            item = self._ids.get(mark)
            watch.mention(mapped=item is not None)
            if item is not None:
                mentions.append(Mention(item, span=span))
        return Turn("user" if row.seeker else "assistant", text, tuple(mentions))


def _is_v1(path: Path) -> bool:
    """Whether the first line is a row of Reddit-Movie v1."""
    first = next(json_records(path), None)
    return first is not None and first.has("processed")
