"""Recorded lists as a judge: what a model or a system once answered for a turn, blended with another signal."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rarec.align.turns import LearningTurn
from rarec.conversations.lines import json_records
from rarec.errors import InputError
from rarec.evaluate.fusion.lists import C, fusion_key
from rarec.llm.protocol import LLM, OnText
from rarec.prompt import check_task, read_ranking
from rarec.types import Completion, CompletionRequest, Conversation, ItemId, RankingTask, Usage

log = logging.getLogger(__name__)

NAME = "recorded"


@dataclass(frozen=True, slots=True, eq=False)
class RecordedLists:
    """The lists of the turns of a run.

    Attributes:
        lists: what was said before a turn -> its list, best first. A request carries the conversation of its turn as
            the data set has it, with the dialogue's id, so that turns of two dialogues that read alike are two.
        turns: of the run; those beyond `lists` have none.
        sha256: of the file.
    """

    lists: Mapping[Conversation, tuple[ItemId, ...]]
    turns: int
    sha256: str


class RecordedJudge:
    """Ranks what it is offered by its turn's list and another signal, by weighted reciprocal ranks.

    An item at place r of the list and at place s of the other signal is worth weight / (60 + r) + 1 / (60 + s); one
    that the list lacks is worth the second part. At weight 1 what is among the first sixty of the list goes before
    what is not on it, in sets of up to sixty; at 0.1 the first of the list passes about six others. Only what is
    offered is named. A turn without a list is left to the other signal.

    Args:
        weight: >= 0, of the list; the other signal has 1.
        behind: the other signal, a judge that reads the request's task; None takes the order of the candidates' scores.
    Attributes:
        blended, alone: answers so far with a list, and without one.
    Source: as `rarec.evaluate.fusion.reciprocal_rank_fusion`.
    """

    def __init__(self, recorded: RecordedLists, *, weight: float = 1.0, behind: LLM | None = None) -> None:
        self._lists, self._weight, self._behind = recorded.lists, weight, behind
        self.blended = self.alone = 0

    @property
    def name(self) -> str:
        return NAME if self._behind is None else f"{NAME}+{self._behind.name}"

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """The answer to a request.

        Raises:
            InputError: the request has no task; recorded lists are found by its conversation.
            Whatever the judge behind raises.
        """
        task = request.task
        if task is None:
            raise InputError(f"{self.name!r} finds its list by the task of a request, and this one has none")
        check_task(task)
        listed = self._lists.get(task.conversation)
        if listed is None:
            self.alone += 1
            if self._behind is not None:
                return await self._behind.complete(request, on_text=on_text)
        else:
            self.blended += 1
        order, usage, latency_ms = await self._others(request, task)
        if listed is not None:
            order = blended(task, listed, order, weight=self._weight)
        numbers = [place + 1 for place in order[: task.n]]
        text = json.dumps({"ranking": numbers, "reply": f"I would take [{numbers[0]}]."})
        if on_text is not None:
            on_text(text)
        return Completion(text, self.name, usage, latency_ms)

    async def _others(self, request: CompletionRequest, task: RankingTask) -> tuple[list[int], Usage, float]:
        """Places of all candidates by the other signal, best first; what a judge leaves out follows by score."""
        scored = sorted(range(len(task.candidates)), key=lambda place: -task.candidates[place].score)
        if self._behind is None:
            return scored, Usage(calls=1), 0.0
        whole = replace(task, n=len(task.candidates))
        answer = await self._behind.complete(replace(request, task=whole))
        places, _ = read_ranking(answer.text, whole)
        return list(dict.fromkeys([*places, *scored])), answer.usage, answer.latency_ms


def blended(task: RankingTask, listed: Iterable[ItemId], order: Iterable[int], *, weight: float) -> list[int]:
    """Places of all candidates, best first.

    Args:
        listed: items, best first; those that are not offered keep their places and are not named.
        order: all places by the other signal, best first.
    """
    rank = {item: at for at, item in enumerate(listed, start=1)}
    other = {place: at for at, place in enumerate(order, start=1)}

    def key(place: int) -> tuple[float, ...]:
        return fusion_key([rank.get(task.candidates[place].item.id, 0), other[place]], [weight, 1.0], c=C)

    return sorted(other, key=key)


def read_recorded(
    path: Path,
    turns: Mapping[str, LearningTurn],
    *,
    passed_over: Collection[str],
    tests: Callable[[], Mapping[str, Collection[str]]],
    items: Collection[ItemId],
) -> RecordedLists:
    """Read lists, ``{"example": id, "items": [ids, best first]}`` a line, for the turns of a run.

    Args:
        turns: by the id of their example, as `rarec data examples` gives it.
        passed_over: ids of other examples of the same splits; their lists are not needed.
        tests: test split -> ids of its examples; called to say what is wrong.
        items: the catalogue; what is not in it can never be offered and is dropped.
    Raises:
        InputError: the file is missing or wrong, an example or an item of a list comes twice, an example is unknown or
            of a test split only, no list is of a turn of the run, or no item is in the catalogue.
    """
    found: dict[str, tuple[ItemId, ...]] = {}
    lines: dict[str, int] = {}
    for record in json_records(path):
        record.only(("example", "items"))
        example, listed = record.name("example"), record.items("items")
        if example in lines:
            raise record.error("example", f"{example!r} is already that of line {lines[example]}")
        if None in listed or len(set(listed)) < len(listed):
            raise record.error("items", "has a null or an item twice; name each item once")
        lines[example], found[example] = record.line, tuple(item for item in listed if item is not None)
    _check_known(path, lines, turns, passed_over, tests)
    lists: dict[Conversation, tuple[ItemId, ...]] = {}
    for example in (example for example in found if example in turns):
        kept = tuple(item for item in found[example] if item in items)
        if lists.setdefault(turns[example].conversation, kept) != kept:
            raise InputError(
                f"{str(path)!r}, line {lines[example]}: the conversation before {example!r} is also that of another "
                "turn, with another list; a judge cannot tell them apart, so leave one out"
            )
    if not lists:
        raise InputError(f"{str(path)!r} has no list for any of the {len(turns)} turns of the run; check its examples")
    if not any(lists.values()):
        raise InputError(f"no item in the lists of {str(path)!r} is in the catalogue; give ids as its items have them")
    covered = sum(turn.conversation in lists for turn in turns.values())
    if covered < len(turns):
        log.warning(
            "%d of %d turns have no list in %s; another signal judges them", len(turns) - covered, len(turns), path
        )
    return RecordedLists(lists, len(turns), sha256_of(path))


def sha256_of(path: Path) -> str:
    """Of a file of lists. Raises InputError if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}; name a file of lists") from error


def _check_known(
    path: Path,
    lines: Mapping[str, int],
    turns: Mapping[str, LearningTurn],
    passed_over: Collection[str],
    tests: Callable[[], Mapping[str, Collection[str]]],
) -> None:
    unknown = [example for example in lines if example not in turns and example not in passed_over]
    if not unknown:
        return
    first = unknown[0]
    split = next((name for name, ids in tests().items() if first in ids), None)
    why = f"is of {split!r}, and nothing is learned from a test split" if split else "is no example of the run's splits"
    raise InputError(
        f"{str(path)!r}, line {lines[first]}: {first!r} {why}"
        f"{f' (and {len(unknown) - 1:,} more)' if len(unknown) > 1 else ''}; 'rarec data examples' lists their ids"
    )
