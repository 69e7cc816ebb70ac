"""The gold: what was to be found, and what is known of the items; all that scoring needs beside predictions.

It is written into every run folder, so that figures can be recomputed without the data set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.types import Conversation, Item, ItemId


@dataclass(frozen=True, slots=True)
class GoldExample:
    """One turn to predict.

    Attributes:
        targets: mapped ground truths, each once, in the order of their annotation; may be empty.
        repeated: those of them that the conversation already names.
        seen: items that the conversation mentions.
        turns: messages before the turn.
        unmapped: annotated ground truths that are no item, or the same one again.
    """

    id: str
    dialogue: str
    turn: str
    targets: tuple[ItemId, ...]
    repeated: frozenset[ItemId]
    seen: tuple[ItemId, ...]
    turns: int
    unmapped: int = 0


@dataclass(frozen=True, slots=True)
class GoldItem:
    """What the report says about an item.

    Attributes:
        popularity: how many training conversations mention it; 0 is a cold item.
        in_data_set: it belongs to the data set's own catalogue.
    """

    title: str
    year: int | None
    popularity: int
    in_data_set: bool
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Gold:
    """Examples and items of one split of a data set; items are in the order of the catalogue."""

    data_set: str
    split: str
    examples: tuple[GoldExample, ...]
    items: Mapping[ItemId, GoldItem]

    def catalogue(self, scope: str = "data-set") -> frozenset[ItemId]:
        """The ids that may be ranked under a scope, see `EvaluationProtocol.catalogue`."""
        if scope == "corpus":
            return frozenset(self.items)
        return frozenset(item for item, facts in self.items.items() if facts.in_data_set)


def gold_of(
    examples: Sequence[Example],
    items: Sequence[Item],
    training: Iterable[Conversation],
    *,
    data_set: str,
    split: str,
    in_data_set: Collection[ItemId] | None = None,
) -> Gold:
    """The gold of examples.

    Args:
        items: everything that any protocol may rank.
        training: conversations whose mentions count as popularity; each counts an item once.
        in_data_set: the data set's own catalogue; None means all of `items`.
    Raises:
        InputError: no examples or items, or one that comes twice, or a target that is not among the items.
    """
    if not examples:
        raise InputError(f"{data_set!r} {split!r} has no examples; is it the right file?")
    counts = mention_counts(training)
    known: dict[ItemId, GoldItem] = {}
    for item in items:
        if item.id in known:
            raise InputError(f"the catalogue of {data_set!r} has {item.id!r} twice; give every item once")
        inside = in_data_set is None or item.id in in_data_set
        known[item.id] = GoldItem(item.title, item.year, counts.get(item.id, 0), inside, item.attributes)
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise InputError(f"{data_set!r} {split!r} has the example {example.id!r} twice; give every example once")
        seen.add(example.id)
        if lost := [target for target in example.targets if target not in known]:
            raise InputError(
                f"the target {lost[0]!r} of {example.id!r} is not in the catalogue of {data_set!r}; "
                "are the examples and the items of one release?"
            )
    return Gold(data_set, split, tuple(map(_gold_example, examples)), known)


def mention_counts(training: Iterable[Conversation]) -> dict[ItemId, int]:
    """Item -> how many conversations mention it; those that none mentions are left out."""
    counts: dict[ItemId, int] = {}
    for conversation in training:
        for mentioned in {mention.item for mention in conversation.mentions()}:
            counts[mentioned] = counts.get(mentioned, 0) + 1
    return counts


def _gold_example(example: Example) -> GoldExample:
    return GoldExample(
        id=example.id,
        dialogue=example.dialogue,
        turn=example.turn,
        targets=example.targets,
        repeated=example.repeated,
        seen=example.context_items,
        turns=len(example.conversation.turns),
        unmapped=len(example.annotated) - len(example.targets),
    )
