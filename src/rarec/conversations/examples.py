"""Test examples: what was said before an assistant's turn, and the items that the turn recommends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from rarec.conversations.lines import Progress, Record, json_records
from rarec.conversations.spans import without_year
from rarec.types import Conversation, Item, ItemId, Mention, Role, Turn


@dataclass(frozen=True, slots=True)
class Example:
    """One turn to predict.

    Attributes:
        id: names the example in its file, e.g. "redial_3".
        index: its number in the full test; recorded results are aligned by it.
        dialogue: the dialogue it comes from; resampling is by dialogue.
        turn: names the turn to predict within the dialogue.
        conversation: everything that was said before it, with mentions linked.
        annotated: the ground truths in the order of their annotation; None could not be mapped to an item,
            and an item may occur twice.
        repeated: the targets that the conversation already names: the same item, or one of the same title
            (the rule of the recorded results, which compare names without years).
        context_items: items that the conversation mentions, in order, each once.
    """

    id: str
    index: int
    dialogue: str
    turn: str
    conversation: Conversation
    annotated: tuple[ItemId | None, ...]
    repeated: frozenset[ItemId]
    context_items: tuple[ItemId, ...]

    @property
    def targets(self) -> tuple[ItemId, ...]:
        """The mapped ground truths, each once, in the order of their annotation."""
        return tuple(dict.fromkeys(item for item in self.annotated if item is not None))


class Links(Protocol):
    """What finds the items that a text mentions, with their spans."""

    def link(self, text: str) -> tuple[Mention, ...]: ...


def read_examples(
    path: str | Path,
    *,
    catalogue_items: Sequence[Item],
    linker: Links | None = None,
    progress: Progress | None = None,
) -> list[Example]:
    """The examples of an evaluation file (JSONL, .zst and .gz too), in the file's order.

    A message mentions what the linker finds in it and the annotation confirms; annotated context items that
    are found in no message become mentions (span None) of the last one, so that none is lost. There are no
    sentiments. Roles alternate backwards from the last message, which is the user's: the prefixes of the
    file's own prompts ("User:", "System:") count from the front and are wrong in two thirds of the ReDial
    examples, where the assistant spoke first. Empty messages are dropped.

    Args:
        catalogue_items: what the linker may find; titles also decide which targets are namesakes of context.
        linker: one that is already built; None builds one from `catalogue_items`.
        progress: called with (bytes read, bytes in all).
    Raises:
        InputError: there is no such file, or a line is wrong; file, line and field are named.
        MissingExtra: the file is .zst and zstandard is not installed.
    """
    links = _Remembered(_linker(catalogue_items) if linker is None else linker)
    titles = {item.id: item.title.casefold() for item in catalogue_items}
    examples: list[Example] = []
    lines: dict[str, int] = {}
    for record in json_records(path, progress=progress):
        example = _example(record, links, titles)
        if example.id in lines:
            raise record.error("example_id", f"{example.id!r} is already that of line {lines[example.id]}")
        lines[example.id] = record.line
        examples.append(example)
    return examples


def examples_from_conversations(conversations: Iterable[Conversation]) -> list[Example]:
    """One example for each assistant turn that mentions at least one item.

    Its conversation is every turn before, those of the assistant in a row included; a target is repeated if
    an earlier turn mentions the same item. `index` counts the examples.
    """
    examples: list[Example] = []
    for conversation in conversations:
        for at, turn in enumerate(conversation.turns):
            if turn.role == "assistant" and turn.mentions:
                examples.append(_example_at(conversation, at, turn.mentions, index=len(examples)))
    return examples


def within_catalogue(examples: Iterable[Example], items: Collection[ItemId]) -> list[Example]:
    """The examples with targets among `items` only; one that has none left stays, without targets.

    A published vocabulary may lack items that the conversations recommend. Such a target becomes an annotation
    that is no item (None), so that it is still counted where unmapped ones are.
    """
    allowed = items if isinstance(items, (set, frozenset)) else frozenset(items)
    return [
        example
        if all(item in allowed for item in example.targets)
        else replace(
            example,
            annotated=tuple(item if item in allowed else None for item in example.annotated),
            repeated=example.repeated & frozenset(allowed),
        )
        for example in examples
    ]


def linked_beyond(examples: Iterable[Example], items: Sequence[Item], linker: Links) -> list[Example]:
    """The same examples, whose messages also mention what the linker finds outside a catalogue.

    A published vocabulary has mentions of its own items only. A store whose catalogue is larger knows others too, and
    these say something of the user even where they are not to be recommended. They come from the linker alone, as when
    serving: annotations outside the catalogue, which only some splits have, are left out.

    Args:
        items: the catalogue; of it only annotated mentions count. Nothing is linked in words that one of them covers,
            nor by the name of one that no words are known of.
    Returns:
        `context_items` has what was linked where it stands among those of the catalogue whose words are known; targets
        and repeated ones stay.
    """
    links, titles = _Remembered(linker), {item.id: _name(item.title) for item in items}
    return [_linked(example, titles, links) for example in examples]


def _linked(example: Example, titles: Mapping[ItemId, str], links: _Remembered) -> Example:
    spoken = example.conversation
    named = {titles[m.item] for m in spoken.mentions() if m.span is None and m.item in titles}
    turns, more = [], dict[ItemId, None]()
    for turn in spoken.turns:
        known = tuple(m for m in turn.mentions or () if m.item in titles)
        covered = [m.span for m in known if m.span is not None]
        found = [
            (m, m.span)
            for m in links.link(turn.text)
            if m.span is not None
            and m.item not in titles
            and not any(m.span[0] < end and start < m.span[1] for start, end in covered)
        ]
        beyond = tuple(m for m, (start, end) in found if _name(turn.text[start:end]) not in named)
        # In the order of the words, as the linker has them; those without words last, as `read_examples` has them.
        at = sorted((m for m in (*known, *beyond) if m.span is not None), key=_start)
        turns.append(replace(turn, mentions=(*at, *(m for m in known if m.span is None))))
        more |= dict.fromkeys(m.item for m in beyond)
    spoken = replace(spoken, turns=tuple(turns))
    place = {m.item: at for at, m in reversed([*enumerate(spoken.mentions())]) if m.span is not None}
    context: list[ItemId] = []
    waiting = list(more)
    for item in (item for item in example.context_items if item in titles):
        while item in place and waiting and place[waiting[0]] < place[item]:
            context.append(waiting.pop(0))
        context.append(item)
    return replace(example, conversation=spoken, context_items=(*context, *waiting))


def _start(mention: Mention) -> int:
    return mention.span[0] if mention.span else 0


def _name(title: str) -> str:
    return without_year(title).casefold()


def _example_at(conversation: Conversation, at: int, mentions: Sequence[Mention], *, index: int) -> Example:
    before = Conversation(conversation.turns[:at], id=conversation.id)
    context = tuple(dict.fromkeys(mention.item for mention in before.mentions()))
    annotated = tuple(mention.item for mention in mentions)
    return Example(
        id=f"{conversation.id}_{at}",
        index=index,
        dialogue=conversation.id,
        turn=str(at),
        conversation=before,
        annotated=annotated,
        repeated=frozenset(annotated) & frozenset(context),
        context_items=context,
    )


def _example(record: Record, links: _Remembered, titles: dict[ItemId, str]) -> Example:
    example_id, dialogue = record.name("example_id"), record.name("dialog_id")
    context = tuple(dict.fromkeys(item for item in record.items("context_items") if item is not None))
    truths = record.records("gt")
    annotated = tuple(truth.item("item") for truth in truths)
    names = [without_year(truth.text("title")).casefold() for truth in truths]
    taken = {titles[item] for item in context if item in titles}
    repeated = frozenset(
        item
        for item, name in zip(annotated, names, strict=True)
        if item is not None and (item in context or name in taken)
    )
    messages = [text for text in record.texts("context") if text.strip()]
    return Example(
        id=example_id,
        index=record.whole("index"),
        dialogue=dialogue,
        turn=record.name("turn_id"),
        conversation=Conversation(tuple(_turns(messages, context, links)), id=example_id),
        annotated=annotated,
        repeated=repeated,
        context_items=context,
    )


def _turns(messages: Sequence[str], context: Sequence[ItemId], links: _Remembered) -> Iterator[Turn]:
    found = [tuple(m for m in links.link(text) if m.item in context) for text in messages]
    linked = {mention.item for mentions in found for mention in mentions}
    lost = tuple(Mention(item) for item in context if item not in linked)
    if lost and not messages:
        yield Turn("user", "", lost)
    for at, (text, mentions) in enumerate(zip(messages, found, strict=True)):
        from_end = len(messages) - 1 - at
        role: Role = "user" if from_end % 2 == 0 else "assistant"
        yield Turn(role, text, mentions + lost if from_end == 0 else mentions)


class _Remembered:
    """A linker that links each text once; the contexts of one dialogue repeat its messages."""

    def __init__(self, linker: Links) -> None:
        self._linker = linker
        self._found: dict[str, tuple[Mention, ...]] = {}

    def link(self, text: str) -> tuple[Mention, ...]:
        if text not in self._found:
            self._found[text] = self._linker.link(text)
        return self._found[text]


def _linker(items: Sequence[Item]) -> Links:
    from rarec.catalogue.linker import Linker

    return Linker(items)
