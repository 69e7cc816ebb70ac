"""Language models as systems: choosing among what another system found, and alone from memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rarec.catalogue.titles import TitleIndex
from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.asking import Asking, ask_all, call_of
from rarec.evaluate.predictions import Answer, Call
from rarec.evaluate.systems import ScoredSystem, System, top_columns
from rarec.llm.asking import Asked
from rarec.llm.protocol import LLM
from rarec.prompt import (
    PromptTemplate,
    TitlesTemplate,
    parse_titles,
    ranking_request,
    read_ranking,
    render_titles,
    titles_schema,
)
from rarec.types import Candidate, CompletionRequest, Item, ItemId, RankingTask

CANDIDATES = 50
RANKED = 20
"""How many of the candidates a model is asked to rank; more cost tokens and are seldom looked at."""


class RankedByLLM:
    """The first candidates of a system in the order that a language model gives them, then the rest of its list.

    Candidates are the system's best items that the conversation does not mention, with its scores where it has some,
    else 1 / rank. Those that the model does not rank follow in the system's order. Where the model fails, or names no
    candidate, the system's order stands and the call is marked `degraded`.

    `Call.named` counts the numbers that the model gave up to the n that were asked, with those that were dropped.

    Args:
        items: the catalogue that the system ranks; what the model sees of a candidate comes from here.
        mentioned: other items that conversations may mention.
        candidates: how many it sees.
        n: how many it is asked to rank.
        template: see `rarec.prompt.render`.
        name: of the row; None makes it of both names.
    Raises:
        InputError: `candidates` or `n` is less than 1, or an item comes twice.
        SettingsError: there is no such template, or it is not valid.
    """

    def __init__(
        self,
        system: System,
        llm: LLM,
        items: Sequence[Item],
        *,
        mentioned: Sequence[Item] = (),
        candidates: int = CANDIDATES,
        n: int = RANKED,
        asking: Asking | None = None,
        template: str | Path | PromptTemplate = "default",
        name: str | None = None,
    ) -> None:
        if candidates < 1 or n < 1:
            raise InputError(f"candidates and n must be at least 1, got {candidates!r} and {n!r}")
        self.name = name or f"{system.name}+{llm.name}"
        self._system, self._llm = system, llm
        self._items = _by_id(items)
        self._known = {**_by_id(mentioned), **self._items}
        self._candidates, self._n = candidates, n
        self._asking = asking or Asking()
        self._template = PromptTemplate.load(template)

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        """The lists of `answers`."""
        return [answer.items for answer in self.answers(examples, n=n)]

    def answers(self, examples: Sequence[Example], *, n: int) -> list[Answer]:
        """One answer for each example, with at most n items; as `System.rank`, mentioned items may be among them.

        An example for which nothing is left to choose from is not asked; its answer has no call.

        Raises:
            InputError: n < 1, or the system ranks an item that is not in the catalogue.
        """
        found = self._found(examples, n=n)
        tasks = [self._task(example, one.candidates) for example, one in zip(examples, found, strict=True)]
        asked = iter(
            ask_all(self._llm, list(map(self._request, filter(None, tasks))), concurrency=self._asking.concurrency)
        )
        answers: list[Answer] = []
        for task, one in zip(tasks, found, strict=True):
            if task is None:
                answers.append(Answer(one.items))
                continue
            order, call = self._read(next(asked), task)
            first = [candidate.item.id for candidate in task.candidates]
            chosen = dict.fromkeys([*(first[place] for place in order), *first, *one.items])
            answers.append(Answer(tuple(chosen)[:n], call))
        return answers

    def _found(self, examples: Sequence[Example], *, n: int) -> list[_Found]:
        if n < 1:
            raise InputError(f"n must be at least 1, got {n!r}")
        if not examples:
            return []
        if isinstance(self._system, ScoredSystem):
            return self._scored(self._system, examples, n=n)
        seen = [_mentioned(example) for example in examples]
        lists = self._system.rank(examples, n=max(n, self._candidates + max(map(len, seen))))
        found: list[_Found] = []
        for items, without in zip(lists, seen, strict=True):
            fresh = [(item, 1 / place) for place, item in enumerate(items, start=1) if item not in without]
            found.append(_Found(items[:n], fresh[: self._candidates]))
        return found

    def _scored(self, system: ScoredSystem, examples: Sequence[Example], *, n: int) -> list[_Found]:
        found: list[_Found] = []
        for start in range(0, len(examples), system.batch_size):
            batch = examples[start : start + system.batch_size]
            scores = system.scores(batch)
            fresh = np.array(scores, np.float32)
            for row, example in zip(fresh, batch, strict=True):
                row[[system.columns[i] for i in _mentioned(example) if i in system.columns]] = -np.inf
            best = top_columns(fresh, n=self._candidates)
            for row, plain, columns in zip(fresh, top_columns(scores, n=n), best, strict=True):
                scored = [(system.ids[c], float(row[c])) for c in columns if row[c] > -math.inf]
                found.append(_Found(tuple(system.ids[c] for c in plain), scored))
        return found

    def _task(self, example: Example, first: Sequence[tuple[ItemId, float]]) -> RankingTask | None:
        if not first:
            return None
        if lost := [item for item, _ in first if item not in self._items]:
            raise InputError(
                f"{self._system.name!r} ranked {lost[0]!r} for {example.id!r}, which is not in the catalogue"
            )
        candidates = tuple(Candidate(self._items[item], score) for item, score in first)
        mentioned = _known(example, self._known)
        return RankingTask(example.conversation, mentioned, candidates, min(self._n, len(candidates)))

    def _request(self, task: RankingTask) -> CompletionRequest:
        return ranking_request(
            task,
            template=self._template,
            max_tokens=self._asking.max_tokens,
            temperature=self._asking.temperature,
            deadline_s=self._asking.deadline_s,
        )

    def _read(self, asked: Asked, task: RankingTask) -> tuple[tuple[int, ...], Call]:
        call = call_of(asked, self._asking.prices)
        if asked.completion is None:
            return (), call
        order, report = read_ranking(asked.completion.text, task)
        call = replace(
            call,
            named=len(order) + report.repeated + report.unknown,
            ungrounded=report.unknown,
            repeated=report.repeated,
            repaired=report.repaired,
            degraded=not order,
        )
        return order, call


class LLMAlone:
    """A language model that names items from memory; what it names is linked to the catalogue by title and year.

    It sees no candidates. Titles that are linked to nothing are dropped and counted as `ungrounded`; whatever it
    writes, only items of the catalogue come out. Where the model fails its list is empty and the call is `degraded`.

    Args:
        items: the catalogue.
        titles: how many titles it is asked for.
        kind: what is recommended, in the plural, for the prompt.
        max_edits: see `TitleIndex`.
        template: see `rarec.prompt.render_titles`.
        name: of the row; None makes it of the model's name.
    Raises:
        InputError: `titles` is less than 1, or an item comes twice.
        SettingsError: there is no such template, or it is not valid.
    """

    def __init__(
        self,
        llm: LLM,
        items: Sequence[Item],
        *,
        mentioned: Sequence[Item] = (),
        titles: int = RANKED,
        kind: str = "items",
        max_edits: int = 0,
        asking: Asking | None = None,
        template: str | Path | TitlesTemplate = "default",
        name: str | None = None,
    ) -> None:
        if titles < 1:
            raise InputError(f"titles must be at least 1, got {titles!r}")
        self.name = name or f"{llm.name} alone"
        self._llm = llm
        self._known = {**_by_id(mentioned), **_by_id(items)}
        self._index = TitleIndex(items, max_edits=max_edits)
        self._titles, self._kind = titles, kind
        self._asking = asking or Asking()
        self._template = TitlesTemplate.load(template)

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        """The lists of `answers`."""
        return [answer.items for answer in self.answers(examples, n=n)]

    def answers(self, examples: Sequence[Example], *, n: int) -> list[Answer]:
        """One answer for each example, with at most n items; mentioned items that it names stay in it.

        Raises:
            InputError: n < 1.
        """
        if n < 1:
            raise InputError(f"n must be at least 1, got {n!r}")
        asked = ask_all(self._llm, list(map(self._request, examples)), concurrency=self._asking.concurrency)
        return [self._answer(one, n=n) for one in asked]

    def _request(self, example: Example) -> CompletionRequest:
        # A model that replays recorded answers finds them by the example, whose conversation may have another id.
        conversation = replace(example.conversation, id=example.id)
        task = RankingTask(conversation, _known(example, self._known), (), self._titles)
        return CompletionRequest(
            render_titles(task, kind=self._kind, template=self._template),
            schema=titles_schema(self._titles),
            max_tokens=self._asking.max_tokens,
            temperature=self._asking.temperature,
            deadline_s=self._asking.deadline_s,
            task=task,
        )

    def _answer(self, asked: Asked, *, n: int) -> Answer:
        call = call_of(asked, self._asking.prices)
        if asked.completion is None:
            return Answer((), call)
        grounded = ground_titles(asked.completion.text, self._index, n=self._titles)
        call = replace(
            call,
            named=grounded.named,
            ungrounded=len(grounded.ungrounded),
            repeated=grounded.repeated,
            repaired=grounded.repaired,
        )
        return Answer(grounded.items[:n], call)


@dataclass(frozen=True, slots=True)
class Grounded:
    """The titles of an answer as items.

    Attributes:
        items: each once, in the order of the answer.
        named: entries of the answer; `named` is the sum of items, ungrounded and repeated.
        ungrounded: titles that are linked to nothing.
        repeated: entries whose item was there already.
        close: items that were linked although a few letters differ, or only a part of the title agrees.
        malformed: the text is not the JSON that was asked for.
    """

    items: tuple[ItemId, ...]
    named: int
    ungrounded: tuple[str, ...]
    repeated: int
    close: int
    malformed: bool

    @property
    def repaired(self) -> bool:
        """Whether the list is not exactly what the model wrote."""
        return self.malformed or bool(self.ungrounded or self.repeated or self.close)


def ground_titles(text: str, index: TitleIndex, *, n: int) -> Grounded:
    """The items that the first n titles of any text name; never raises because of the text.

    Raises:
        InputError: n < 1.
    """
    parsed = parse_titles(text, n=n)
    items: dict[ItemId, None] = {}
    ungrounded: list[str] = []
    repeated = close = 0
    for named in parsed.titles:
        link = index.link(named.title, named.year)
        if link is None:
            ungrounded.append(named.title)
        elif link.item in items:
            repeated += 1
        else:
            items[link.item] = None
            close += link.kind != "exact"
    return Grounded(tuple(items), len(parsed.titles), tuple(ungrounded), repeated, close, parsed.malformed)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a system ranked for one example: its own list, and those of it that may be candidates, with scores."""

    items: tuple[ItemId, ...]
    candidates: Sequence[tuple[ItemId, float]]


def _by_id(items: Sequence[Item]) -> Mapping[ItemId, Item]:
    known: dict[ItemId, Item] = {}
    for item in items:
        if item.id in known:
            raise InputError(f"the catalogue has {item.id!r} twice; give every item once")
        known[item.id] = item
    return known


def _mentioned(example: Example) -> set[ItemId]:
    return {*example.context_items, *(mention.item for mention in example.conversation.mentions())}


def _known(example: Example, items: Mapping[ItemId, Item]) -> dict[ItemId, Item]:
    return {item: items[item] for item in sorted(_mentioned(example)) if item in items}
