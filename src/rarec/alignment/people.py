"""Learning from people: events of a file or a database become turns with the sets that were shown in them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rarec.align.learners import BaseLearner, MultDPO
from rarec.align.logged import LoggedSet, LoggedSets
from rarec.align.turns import LearningTurn, Stock
from rarec.alignment.material import Material, OpenedData, content_of, halves, origin_of, stock_of
from rarec.alignment.recipe import SINGLE_SET_LEARNERS, AlignRecipe, PeopleJudge, identity
from rarec.conversations import as_served
from rarec.embed.protocol import Embedder
from rarec.errors import InputError
from rarec.evaluate.recipe import DataSetConfig
from rarec.feedback import Collected, FeedbackEvent, UsableEvent, collect_events, read_events
from rarec.progress import OnProgress
from rarec.reward import grades
from rarec.types import Conversation, ItemId

NO_LOG_PROB = "no log_prob of the set"


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """What people did.

    Attributes:
        sets: shown ones of all turns, learned from and held out.
        shown: how many sets are learned from.
        left_out: why events were left out -> how many.
        taken_out: why items were taken out of events -> how many.
    """

    sets: LoggedSets
    shown: int
    left_out: Mapping[str, int]
    taken_out: Mapping[str, int]


def gather_people(
    recipe: AlignRecipe,
    judge: PeopleJudge,
    *,
    bundle: Path,
    cache: Path,
    embedder: Embedder | None = None,
    events: Iterable[FeedbackEvent] | None = None,
    tell: OnProgress,
) -> tuple[Material, People]:
    """Read everything. Of the data set only the items are read; turns come from the events.

    Args:
        events: instead of those of the recipe's file; gone through once.
        cache, embedder: as `material.gather`.
    Raises:
        InputError: a wrong line, no catalogue, nothing to learn from or to measure on, or a learner that the events
            have nothing for.
        BundleError: the bundle is damaged or of another embedder.
    """
    # The turns come from a file and from no split: a folder with items.jsonl alone will do.
    config = DataSetConfig(
        name=recipe.data.name, folder=recipe.data.folder, training="", examples=judge.events, layout=recipe.data.layout
    )
    opened = OpenedData.of(config, recipe, bundle=bundle, cache=cache, embedder=embedder, tell=tell)
    context, name = opened.context, opened.embedder.name
    if events is None:
        events = read_events(judge.events, progress=lambda done, total: tell("read events", done, total, ""))
    collected = collect_events(events, items=context.catalogue("data-set").ids)
    stock = stock_of(recipe, context)
    usable, left_out = _with_log_prob(collected, judge)
    learn, held_out = _turns(usable, recipe, judge)
    _check_some(learn, held_out, collected, left_out, judge)
    data = opened.turns([turn for turn, _ in (*learn, *held_out)], stock, need_truth=False)
    sets = {turn.id: sets for turn, sets in (*learn, *held_out)}
    _check_learner(recipe.learner, [sets for _, sets in learn])
    tune, report = halves(data.turns[len(learn) :])
    material = Material(
        bundle, opened.embedder, stock, data, data.turns[: len(learn)], tune, report,
        context.catalogue("data-set").vectors, sum(left_out.values()),
        identity(content_of(data, stock, name, bundle, context.layout), collected.digest),
        _mentioned([turn for turn, _ in learn]), origin_of(recipe, bundle, name),
    )  # fmt: skip
    return material, People(
        _logged(sets, stock, recipe, judge), sum(len(own) for _, own in learn), left_out, collected.taken_out
    )


def learner_for_people(learner: BaseLearner) -> BaseLearner:
    """The learner as events need it: credits by item come centred over their own set, not over a turn's others."""
    if "centre" not in type(learner).model_fields:
        return learner
    return learner.model_copy(update={"centre": False, "scale": False})


_Turn = tuple[LearningTurn, tuple[LoggedSet, ...]]


def _with_log_prob(collected: Collected, judge: PeopleJudge) -> tuple[list[UsableEvent], Counter[str]]:
    """The events, and all that is left out; importance weights need the log-probability of every set."""
    left_out = Counter(collected.left_out)
    usable = list(collected.events)
    if judge.importance_clip is not None:
        usable = [event for event in usable if event.log_prob is not None]
        left_out[NO_LOG_PROB] += len(collected.events) - len(usable)
    return usable, +left_out


def _turns(events: Sequence[UsableEvent], recipe: AlignRecipe, judge: PeopleJudge) -> tuple[list[_Turn], list[_Turn]]:
    """Turns to learn from and held-out ones. Sets of one conversation and one size are a turn's."""
    grouped: dict[tuple[Conversation, int], list[UsableEvent]] = {}
    for event in events:
        grouped.setdefault((event.event.conversation, len(event.feedback.shown)), []).append(event)
    learn: list[_Turn] = []
    held_out: list[_Turn] = []
    for (conversation, _), own in grouped.items():
        turn = LearningTurn(
            own[0].event.id,
            conversation.id,
            conversation if recipe.data.sentiments else as_served(conversation),
            _truth(own),
        )
        sets = tuple(
            LoggedSet(event.feedback, grades(event.feedback, places=event.places, eta=judge.eta), event.log_prob)
            for event in own
        )
        (held_out if _share(conversation.id) < judge.holdout else learn).append((turn, sets))
    return learn, held_out


def _truth(events: Sequence[UsableEvent]) -> tuple[ItemId, ...]:
    """The liked items, or the clicked ones where nothing is liked; none that was refused in another set of the turn."""
    refused = {item for event in events for item in event.feedback.refused}
    for chosen in ("liked", "clicked"):
        found = [i for e in events for i in e.feedback.shown if i in getattr(e.feedback, chosen) and i not in refused]
        if found:
            return tuple(dict.fromkeys(found))
    return ()


def _mentioned(turns: Iterable[LearningTurn]) -> dict[ItemId, int]:
    """Item -> in how many conversations that are learned from it was mentioned, or liked or clicked."""
    by_dialogue: dict[str, set[ItemId]] = {}
    for turn in turns:
        named = {*turn.truth, *(mention.item for mention in turn.conversation.mentions())}
        by_dialogue.setdefault(turn.dialogue, set()).update(named)
    return dict(Counter(item for named in by_dialogue.values() for item in named))


def _logged(
    sets: Mapping[str, tuple[LoggedSet, ...]], stock: Stock, recipe: AlignRecipe, judge: PeopleJudge
) -> LoggedSets:
    return LoggedSets(sets, stock, temperature=recipe.sets.temperature, importance_clip=judge.importance_clip)


def _check_some(
    learn: Sequence[_Turn],
    held_out: Sequence[_Turn],
    collected: Collected,
    left_out: Mapping[str, int],
    judge: PeopleJudge,
) -> None:
    if learn and held_out:
        return
    why = ", ".join(f"{count:,} {what}" for what, count in {**left_out, **collected.taken_out}.items()) or "nothing"
    unknown = left_out.get(NO_LOG_PROB, 0)
    remedy = "; write log_prob into the events, or leave judge.importance_clip out" if unknown else ""
    raise InputError(
        f"{str(judge.events)!r} gives {len(learn)} turns to learn from and {len(held_out)} held-out ones; of its "
        f"{collected.total:,} events were left or taken out: {why}. Collect more events, of several conversations, or "
        f"change judge.holdout = {judge.holdout:g}{remedy}"
    )


def _check_learner(learner: BaseLearner, sets: Sequence[tuple[LoggedSet, ...]]) -> None:
    """Refuse a learner that compares sets where no turn has two to compare."""
    name = str(getattr(learner, "name", ""))
    compares = learner.asks and not (
        name in SINGLE_SET_LEARNERS or (isinstance(learner, MultDPO) and learner.pairs == "credits")
    )
    if compares and not any(len({one.reward for one in own}) > 1 for own in sets):
        shown = f'{name} with pairs = "sets"' if isinstance(learner, MultDPO) else name
        raise InputError(
            f"{shown} learns from two or more differently rewarded sets of one turn and one size, and none of the "
            f"{len(sets)} turns has that; use {', '.join(SINGLE_SET_LEARNERS)}, or mult-dpo with pairs = "
            '"credits": these learn from single sets'
        )


def _share(name: str) -> float:
    """A number from 0 to 1 by which conversations are split; it is always the same for one id."""
    found = hashlib.sha256(b"held out " + name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(found[:8], "big") / 2**64
