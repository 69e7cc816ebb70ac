"""Reddit-Movie v2 (the cleaned requests of CRAG and Rank-GRPO) as a data set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from rarec.catalogue.fields import slug
from rarec.catalogue.sources.corpus import corpus_items, corpus_popularity
from rarec.conversations.data_set import DataSet, DataSetInfo, Watch, ordered_splits
from rarec.conversations.examples import Example, Links
from rarec.conversations.folder import Folder, packed, splits_in
from rarec.conversations.lines import FirstLines, Progress, Record, json_records
from rarec.conversations.parquet import read_columns
from rarec.conversations.redial import ROLES
from rarec.conversations.spans import SpanFinder
from rarec.conversations.vocabulary import corpus_ids_by_title, corpus_size, items_of_corpus
from rarec.errors import InputError
from rarec.types import Conversation, Item, ItemId, Mention, Role, Turn

CATALOGUE = "reddit_v2_catalog.parquet"
_SPLIT = re.compile(r"(?:reddit_v2_)?(train|valid|val|validation|test|sample)")
_SPEAKERS: Mapping[str, Role] = {"USER": "user", "SYSTEM": "assistant"}
_SPEAKER = re.compile(r"^(USER|SYSTEM): ?", re.MULTILINE)
_CONVERSATION = "Here is the conversation:"


@dataclass(frozen=True, slots=True)
class Film:
    """A film as a line names it; what a line does not say is None."""

    title: str
    year: int | None = None
    item: ItemId | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: what was said, which films it names, and which were recommended next."""

    id: str
    turns: tuple[tuple[Role, str], ...]
    seen: tuple[Film, ...]
    answers: tuple[Film, ...]
    merged: bool

    @property
    def thread(self) -> str:
        """The same for all answers to one request: a hash of what was said first."""
        first = self.turns[0][1] if self.turns else self.id
        return f"reddit_v2_{hashlib.sha256(first.encode('utf-8', 'replace')).hexdigest()[:16]}"


ItemOf = Callable[[Film], ItemId | None]


class RedditV2Set(DataSet):
    """Reddit-Movie v2: ``<split>.jsonl`` or ``reddit_v2_<split>.jsonl``, merged or as Rank-GRPO exports it.

    Different users' answers to one request are different examples, as published; their dialogue, by which
    figures are resampled, is the request. With corpus/ beside the folder items are those of the corpus, and the
    catalogue is reddit_v2_catalog.parquet; without, items are made of the titles and years of the answers.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__("reddit-v2", Path(folder))
        self._place = Folder.of(folder, "reddit")

    @property
    def info(self) -> DataSetInfo:
        sample = " sample is 100 conversations of train." if "sample" in self._files else ""
        return DataSetInfo(
            title="Reddit-Movie v2",
            licence="none stated; user content under Reddit's terms",
            source="CRAG (Zhu et al. 2025) and Rank-GRPO (Zhu et al. 2025); github.com/yaochenzhu/Rank-GRPO",
            note=f"Each user's answer to a request is one example, resampled by request.{sample} The text can be "
            "offensive.",
        )

    def splits(self) -> tuple[str, ...]:
        return ordered_splits(set(self._files))

    def files(self, split: str) -> tuple[Path, ...]:
        self.require(split)
        return (self._files[split], *((self._catalogue,) if self._catalogue else ()))

    def items(self) -> list[Item]:
        if not self._mapped:
            films = (film for path in self._files.values() for s in read_samples(path) for film in s.answers)
            items = {_slug(film): Item(_slug(film), film.title, year=film.year) for film in films}
            return [items[item] for item in sorted(items)]
        ids = sorted({item for item in self._by_name.values()}, key=int)
        return items_of_corpus(self._place.corpus, ids, name=self.name)

    def corpus(self, *, progress: Progress | None = None) -> list[Item] | None:
        return list(corpus_items(self._place.corpus, progress=progress)) if self._mapped else None

    def corpus_popularity(self) -> list[float] | None:
        return corpus_popularity(self._place.corpus) if self._mapped else None

    def corpus_size(self) -> int | None:
        return corpus_size(self._place.corpus) if self._mapped else None

    def read(self, split: str, watch: Watch) -> Iterator[Conversation]:
        """Requests with their answers: the last turn is the assistant's, without text, and mentions the answers."""
        for sample in read_samples(self._files[split], watch=watch):
            item_of = self._item_of(sample)
            for film in (*sample.seen, *sample.answers):
                watch.mention(mapped=item_of(film) is not None)
            answers = tuple(Mention(item) for film in sample.answers if (item := item_of(film)) is not None)
            yield Conversation((*_turns(sample, item_of), Turn("assistant", "", answers)), id=sample.id)

    def brings_examples(self, split: str) -> bool:
        return split in self._files

    def examples(
        self,
        split: str,
        *,
        linker: Links | None = None,  # noqa: ARG002 - seen is given
        watch: Watch | None = None,
    ) -> list[Example]:
        """One example a line: its answers are the targets, what it has seen are the context items."""
        self.require(split)
        samples = read_samples(self._files[split], watch=watch)
        return [_example(s, self._item_of(s), index) for index, s in enumerate(samples)]

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        found: dict[str, Path] = {}
        for name, path in splits_in(self._place.own, ".jsonl").items():
            match = _SPLIT.fullmatch(name)
            if match and (name.startswith("reddit_v2_") or _is_v2(path)):
                found["valid" if match[1].startswith("val") else match[1]] = path
        return found

    @cached_property
    def _catalogue(self) -> Path | None:
        return packed(self._place.own / CATALOGUE)

    @cached_property
    def _mapped(self) -> bool:
        return self._place.corpus.is_file() and self._catalogue is not None

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, int | None], ItemId]:
        """(title without case, year) -> item, of the catalogue."""
        columns = read_columns(str(self._catalogue), ("title", "year", "item"), purpose="reading Reddit-Movie v2")
        rows = zip(*columns, strict=True)
        return {(title.casefold(), year): ItemId(str(item)) for title, year, item in rows if item is not None}

    @cached_property
    def _by_title(self) -> Mapping[str, ItemId]:
        """Title without case -> the most popular item of that name: of the catalogue, else of the corpus."""
        found: dict[str, ItemId] = {}
        for (title, _), item in sorted(self._by_name.items(), key=lambda entry: int(entry[1])):
            found.setdefault(title, item)
        for (title, _), item in corpus_ids_by_title(self._place.corpus).items():
            found.setdefault(title, item)
        return found

    @cached_property
    def _own_titles(self) -> Mapping[str, ItemId]:
        return {item.title.casefold(): item.id for item in reversed(self.items())}

    def _item_of(self, sample: Sample) -> ItemOf:
        if sample.merged:
            if not self._mapped:
                raise InputError(
                    f"{sample.id!r} names items of the corpus; put corpus/ and {CATALOGUE} beside it, or use the files "
                    "as Rank-GRPO exports them"
                )
            return lambda film: film.item
        if self._mapped:
            return self._named_item
        return lambda film: self._own_titles.get(film.title.casefold()) if film.year is None else _slug(film)

    def _named_item(self, film: Film) -> ItemId | None:
        title = film.title.casefold()
        return self._by_title.get(title) if film.year is None else self._by_name.get((title, film.year))


def read_samples(path: str | Path, *, watch: Watch | None = None) -> Iterator[Sample]:
    """The lines of a file, merged (turns, seen, groundtruth) or exported (prompt, seen_titles, ...).

    Raises:
        InputError: there is no such file, a line is wrong, or an id comes twice; file, line and field are named.
    """
    seen = FirstLines()
    for record in json_records(path, progress=None if watch is None else watch.progress):
        merged = record.has("turns")
        sample = _merged(record) if merged else _exported(record)
        seen.add(record, "conv_id" if merged else "sample_id", sample.id)
        yield sample


def _merged(record: Record) -> Sample:
    turns = tuple((turn.choice("role", ROLES), turn.text("text")) for turn in record.records("turns"))
    seen = tuple(Film(film.text("title"), None, film.item("item")) for film in record.records("seen"))
    answers = tuple(
        Film(film.text("title"), film.whole("year") if film.has("year") else None, film.item("item"))
        for film in record.records("groundtruth")
    )
    return Sample(record.name("conv_id"), turns, seen, answers, merged=True)


def _exported(record: Record) -> Sample:
    prompt = "\n".join(message.text("content") for message in record.records("prompt"))
    _, found, said = prompt.partition(_CONVERSATION)
    marks = list(_SPEAKER.finditer(said.strip()))
    if not found or not marks:
        raise record.error("prompt", f"has no {_CONVERSATION!r} with lines that begin with USER: or SYSTEM:")
    said = said.strip()
    ends = [after.start() for _, after in pairwise(marks)] + [len(said)]
    turns = tuple((_SPEAKERS[mark[1]], said[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True))
    seen = tuple(Film(title) for title in record.texts("seen_titles"))
    answers = tuple(_pair(record, i, pair) for i, pair in enumerate(record.entries("groundtruth_with_release_year")))
    name = record.name("sample_id") if record.has("sample_id") else str(record.line)
    return Sample(f"reddit_v2_{name}", turns, seen, answers, merged=False)


def _pair(record: Record, at: int, pair: object) -> Film:
    if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and str(pair[1]).strip().isdigit():
        return Film(pair[0].strip(), int(str(pair[1])))
    raise record.error(f"groundtruth_with_release_year[{at}]", f"is not a title and a year: {str(pair)[:80]!r}")


def _example(sample: Sample, item_of: ItemOf, index: int) -> Example:
    seen = tuple(dict.fromkeys(item for film in sample.seen if (item := item_of(film)) is not None))
    annotated = tuple(item_of(film) for film in sample.answers)
    names = {film.title.casefold() for film in sample.seen}
    repeated = frozenset(
        item
        for film, item in zip(sample.answers, annotated, strict=True)
        if item is not None and (item in seen or film.title.casefold() in names)
    )
    return Example(
        id=sample.id,
        index=index,
        dialogue=sample.thread,
        turn=str(len(sample.turns)),
        conversation=Conversation(_turns(sample, item_of), id=sample.id),
        annotated=annotated,
        repeated=repeated,
        context_items=seen,
    )


def _turns(sample: Sample, item_of: ItemOf) -> tuple[Turn, ...]:
    """What was said, with the seen films as mentions: where they stand, else of the last turn without a span."""
    turns = sample.turns or ((("user", ""),) if sample.seen else ())
    finders = [SpanFinder(text) for _, text in turns]
    mentions: list[list[Mention]] = [[] for _ in turns]
    lost: list[Mention] = []
    for film in sorted(sample.seen, key=lambda film: -len(film.title)):  # "It" must not take a piece of "It Follows"
        item = item_of(film)
        places = ((at, span) for at, finder in enumerate(finders) if (span := finder.title((film.title,))))
        at, span = next(places, (None, None))
        if item is None:
            continue
        if at is None:
            lost.append(Mention(item))
        else:
            mentions[at].append(Mention(item, span=span))
    for of_turn in mentions:
        of_turn.sort(key=lambda mention: mention.span or (0, 0))
    if lost:
        mentions[-1] += lost
    return tuple(Turn(role, text, tuple(of)) for (role, text), of in zip(turns, mentions, strict=True))


def _slug(film: Film) -> ItemId:
    return slug(film.title, film.year)


def _is_v2(path: Path) -> bool:
    """Whether the first line is of Reddit-Movie v2."""
    first = next(json_records(path), None)
    return first is not None and (first.has("groundtruth") or first.has("groundtruth_with_release_year"))
