"""Systems and examples -> predictions, checked as they come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.gold import Gold
from rarec.evaluate.predictions import Answer, Call, Predictions
from rarec.evaluate.protocols import Scope
from rarec.evaluate.systems import GeneratingSystem, System
from rarec.types import ItemId

Progress = Callable[[str, int, int], None]
"""Called with (system, examples done, examples in all)."""

CHUNK = 256
GENERATING_CHUNK = 16
"""Fewer at a time where each answer costs a call: what an interruption can lose."""


def predict(
    system: System | GeneratingSystem,
    examples: Sequence[Example],
    *,
    catalogue: Collection[ItemId],
    depth: int,
    scope: Scope = "data-set",
    seed: int | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """One system's lists for all examples, each long enough that `depth` items remain without the mentioned ones.

    Raises:
        InputError: a list has an item twice or one that is not in `catalogue`, or a system gives more or fewer
            lists than it got examples; the first example is named.
    """
    lists: dict[str, tuple[ItemId, ...]] = {}
    calls: dict[str, Call] = {}
    for chunk in chunks(system, examples):
        for example, answer in zip(chunk, answers_of(system, chunk, catalogue=catalogue, depth=depth), strict=True):
            lists[example.id] = answer.items
            if answer.call is not None:
                calls[example.id] = answer.call
        if progress is not None:
            progress(system.name, len(lists), len(examples))
    return Predictions(system.name, depth, lists, calls=calls, seed=seed, catalogue=scope)


def chunks(system: System | GeneratingSystem, examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    """The examples in the portions in which `predict` asks for them."""
    size = GENERATING_CHUNK if isinstance(system, GeneratingSystem) else CHUNK
    for start in range(0, len(examples), size):
        yield examples[start : start + size]


def answers_of(
    system: System | GeneratingSystem, examples: Sequence[Example], *, catalogue: Collection[ItemId], depth: int
) -> list[Answer]:
    """What `predict` keeps of one portion: every list is cut to `depth` items that the conversation does not mention.

    Raises InputError as `predict` does.
    """
    n = depth + max((len(example.context_items) for example in examples), default=0)
    if isinstance(system, GeneratingSystem):
        answers = system.answers(examples, n=n)
    else:
        answers = [Answer(tuple(items)) for items in system.rank(examples, n=n)]
    if len(answers) != len(examples):
        raise InputError(f"the system {system.name!r} gave {len(answers)} lists for {len(examples)} examples")
    cut: list[Answer] = []
    for example, answer in zip(examples, answers, strict=True):
        check_list(system.name, example.id, answer.items, catalogue)
        cut.append(Answer(_cut(answer.items, frozenset(example.context_items), depth), answer.call))
    return cut


def check_list(system: str, example: str, items: Sequence[ItemId], catalogue: Collection[ItemId]) -> None:
    """Raises InputError if an item is not in the catalogue or comes twice."""
    seen: set[ItemId] = set()
    for item in items:
        if item not in catalogue:
            raise InputError(f"{system!r} ranked {item!r} for {example!r}, which is not in the catalogue")
        if item in seen:
            raise InputError(f"{system!r} ranked {item!r} twice for {example!r}; give every item once")
        seen.add(item)


def check_predictions(gold: Gold, predictions: Predictions) -> None:
    """Refuse predictions that do not fit the gold: nothing is skipped and nothing is made up.

    Raises:
        InputError: no predictions at all, an example without one or one without an example, an item twice or
            from outside the catalogue, a rank of what is no target, or a negative one; the first offending example is
            named.
    """
    name = predictions.system
    if predictions.lists:
        _check_examples(gold, name, predictions.lists)
        catalogue = gold.catalogue(predictions.catalogue)
        for example in gold.examples:
            check_list(name, example.id, predictions.lists[example.id], catalogue)
    elif not predictions.ranks:
        raise InputError(f"{name!r} has no predictions; the gold has {len(gold.examples)} examples")
    targets = {example.id: example.targets for example in gold.examples}
    for (example_id, target, _), rank in predictions.ranks.items():
        if target not in targets.get(example_id, ()):
            raise InputError(
                f"{name!r} has a rank for {target!r} of {example_id!r}, which is no target of {gold.data_set!r} "
                f"{gold.split!r}; is it of another split?"
            )
        if rank < 0:
            raise InputError(f"{name!r} has rank {rank!r} for {target!r} of {example_id!r}; a miss is 0")
    if unknown := sorted(set(predictions.calls) - {example.id for example in gold.examples}):
        raise InputError(f"{name!r} has a call for {unknown[0]!r}, which is no example of {gold.data_set!r}")


def _check_examples(gold: Gold, system: str, lists: Mapping[str, object]) -> None:
    known = {example.id for example in gold.examples}
    counts = f"{len(lists)} predictions, {len(known)} examples"
    if missing := next((example.id for example in gold.examples if example.id not in lists), None):
        raise InputError(f"{system!r} has no prediction for {missing!r} ({counts}); give every example one list")
    if unknown := next((example for example in lists if example not in known), None):
        raise InputError(
            f"{system!r} has a prediction for {unknown!r}, which is no example of {gold.data_set!r} {gold.split!r} "
            f"({counts}); is it of another split?"
        )


def _cut(items: Sequence[ItemId], mentioned: Collection[ItemId], depth: int) -> tuple[ItemId, ...]:
    left = depth
    for at, item in enumerate(items):
        if left == 0:
            return tuple(items[:at])
        left -= item not in mentioned
    return tuple(items)
