"""Lists that language models wrote elsewhere: as predictions, as ranks, and to be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rarec.conversations import Example
from rarec.conversations.parquet import read_columns
from rarec.errors import InputError, LLMUnavailable
from rarec.evaluate.metrics import MISS
from rarec.evaluate.predictions import Call, Predictions
from rarec.evaluate.recorded import DEPTH, Recording
from rarec.llm.protocol import OnText
from rarec.types import Completion, CompletionRequest, Item, ItemId

MAX_EDITS = 2
"""A title further than this from every name of the recording's vocabulary was dropped."""

_PURPOSE = "reading recorded lists"
_FIXED = ("dataset", "model", "prompt", "index")
_LISTS = ("nearest_movie", "min_edit_distance", "gt_list", "prev_list", "raw_text")


@dataclass(frozen=True, slots=True)
class RecordedList:
    """What one model wrote for one example.

    Attributes:
        names: for each title that it wrote, in order, the nearest name of the recording's vocabulary. The vocabulary
            holds every entity of the data set's knowledge graph, people and genres too.
        edits: for each of them the edit distance from what was written.
        truths: names of the ground truths, in the order of their annotation; names have no year.
        mentioned: names of what the conversation mentions.
        text: as the model wrote it.
    """

    names: tuple[str, ...]
    edits: tuple[int, ...]
    truths: tuple[str, ...]
    mentioned: frozenset[str]
    text: str

    def places(self, *, filtered: bool = True, exclude_seen: bool = True) -> tuple[str, ...]:
        """The names whose places count, best first; a name that comes twice takes two places."""
        near = zip(self.names, self.edits, strict=True)
        kept = (name for name, edits in near if not filtered or edits <= MAX_EDITS)
        return tuple(name for name in kept if not (exclude_seen and name in self.mentioned))[:DEPTH]

    def read(self) -> int:
        """How many names are read until twenty places are filled by what the conversation does not mention."""
        titles = enumerate(zip(self.names, self.edits, strict=True), start=1)
        filled = [at for at, (name, edits) in titles if edits <= MAX_EDITS and name not in self.mentioned]
        return filled[DEPTH - 1] if len(filled) >= DEPTH else len(self.names)

    def ranks(self, *, filtered: bool = True, exclude_seen: bool = True) -> tuple[int, ...]:
        """The rank of each ground truth, 0 for a miss."""
        places = self.places(filtered=filtered, exclude_seen=exclude_seen)
        return tuple(places.index(truth) + 1 if truth in places else MISS for truth in self.truths)


@dataclass(frozen=True, slots=True)
class RecordedLists:
    """The lists of one model and prompt, for exactly our examples.

    Attributes:
        lists: example id -> what was recorded.
        items: name of the recording's vocabulary -> item.
    """

    name: str
    lists: Mapping[str, RecordedList]
    items: Mapping[str, ItemId]

    def predictions(self) -> Predictions:
        """Lists of items to the depth of 20, as the authors linked the titles.

        Names that are no item of ours leave no gap, and an item stands at its first place only, so a target may stand
        higher here than by `RecordedList.ranks`, where every name takes its place. A longer answer is read until
        twenty places are filled by what is not mentioned. `Call.named` counts the names that were read,
        `Call.ungrounded` those of them that are too far from the vocabulary or are no item.
        """
        lists: dict[str, tuple[ItemId, ...]] = {}
        calls: dict[str, Call] = {}
        for example, recorded in self.lists.items():
            lists[example], calls[example] = self._linked(recorded)
        note = "titles as its authors linked them; names that are no item leave no gap"
        return Predictions(self.name, DEPTH, lists=lists, calls=calls, note=note)

    def replay(self) -> ReplayLLM:
        """A model that gives the recorded texts again."""
        return ReplayLLM({example: recorded.text for example, recorded in self.lists.items()}, name=self.name)

    def _linked(self, recorded: RecordedList) -> tuple[tuple[ItemId, ...], Call]:
        named = recorded.read()
        titles = zip(recorded.names[:named], recorded.edits[:named], strict=True)
        found = [self.items[name] for name, edits in titles if edits <= MAX_EDITS and name in self.items]
        items = tuple(dict.fromkeys(found))
        ungrounded = named - len(found)
        repeated = len(found) - len(items)
        repaired = bool(ungrounded or repeated)
        return items, Call(
            named=named, ungrounded=ungrounded, repeated=repeated, repaired=repaired, answer=recorded.text
        )


class ReplayLLM:
    """A language model that gives recorded texts, found by the id of the conversation in a request's task.

    It lets `LLMAlone` run on what a real model once wrote, without a key. It does not read messages. Tokens and latency
    are not known.
    """

    def __init__(self, texts: Mapping[str, str], *, name: str) -> None:
        self._texts = dict(texts)
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """The recorded text.

        Raises:
            InputError: the request has no task.
            LLMUnavailable: nothing was recorded for its conversation.
        """
        if request.task is None:
            raise InputError(f"{self._name!r} replays recorded answers and needs a request with a task")
        example = request.task.conversation.id
        if example not in self._texts:
            raise LLMUnavailable(
                f"{self._name!r} has no recorded answer for {example!r}; replay it for its own examples"
            )
        text = self._texts[example]
        if on_text is not None:
            on_text(text)
        return Completion(text, self._name)


def read_recorded_lists(
    path: str | Path,
    examples: Sequence[Example],
    *,
    data_set: str,
    name: str,
    mapping: str | Path,
    items: Sequence[Item],
) -> RecordedLists:
    """The recorded lists of a model for our examples, aligned by their `index`.

    What makes `RecordedList.ranks` agree with the recorded ranks in every row, for every model and prompt, filtered or
    not, with and without what was seen: names are compared, never items; a place is a title whose nearest name is at
    most two edits away (every title, unfiltered), whatever that name is; a name that the conversation mentions loses
    its place if seen ones are excluded; names that repeat keep theirs; the rank is the first place of the name of the
    ground truth, up to 20.

    Args:
        name: "gpt-4" for the general prompt, "gpt-4/p2" for another.
        mapping: the table of the data set's entities and our items (crs_items.parquet).
        items: the catalogue; of several items of one name the most popular is taken.
    Raises:
        InputError: a file is missing or wrong, no such recording is in it, or an example has no list or another
            number of ground truths; the first example is named.
        MissingExtra: pyarrow is not installed.
    """
    recording = Recording.parse(name)
    wanted = (data_set, recording.model, recording.prompt)
    columns = read_columns(path, (*_FIXED, *_LISTS), purpose=_PURPOSE)
    rows = {index: rest for *run, index, rest in zip(*columns[:4], zip(*columns[4:], strict=True), strict=True)
            if tuple(run) == wanted}  # fmt: skip
    if not rows:
        models = sorted({model for of, model in zip(columns[0], columns[1], strict=True) if of == data_set})
        raise InputError(f"{str(path)!r} has no lists of {name!r} for {data_set!r}; its models there are {models}")
    lists: dict[str, RecordedList] = {}
    for example in examples:
        where = f"{str(path)!r}: index {example.index} ({example.id!r})"
        if example.index not in rows:
            raise InputError(f"{where} has no list of {name!r}; give the lists and the examples of one release")
        near, edits, truths, mentioned, text = rows[example.index]
        if len(truths) != len(example.annotated):
            raise InputError(
                f"{where} has {len(truths)} ground truths, the example {len(example.annotated)}; "
                "give the lists and the examples of one release"
            )
        lists[example.id] = RecordedList(tuple(near), tuple(edits), tuple(truths), frozenset(mentioned), text)
    return RecordedLists(recording.name, lists, _named_items(mapping, data_set, items))


def entity_name(entity: str) -> str:
    """The name under which the recording knows an entity of DBpedia, which has no year.

    >>> entity_name("<http://dbpedia.org/resource/Low-Tide_(1990_film)>")
    'Low Tide'
    """
    last = entity.strip("<>").rpartition("/")[2].replace("_", " ").replace("-", " ")
    return last.partition(" (")[0].strip()


def _named_items(mapping: str | Path, data_set: str, items: Sequence[Item]) -> dict[str, ItemId]:
    known = {item.id: item for item in items}
    data_sets, entities, ids = read_columns(mapping, ("dataset", "entity_name", "corpus_id"), purpose=_PURPOSE)
    named: dict[str, Item] = {}
    for of, entity, corpus in zip(data_sets, entities, ids, strict=True):
        item = known.get(ItemId(str(corpus)))
        if of != data_set or item is None:
            continue
        name = entity_name(entity)
        if name not in named or item.popularity > named[name].popularity:
            named[name] = item
    return {name: item.id for name, item in named.items()}
