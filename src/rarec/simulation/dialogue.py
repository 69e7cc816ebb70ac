"""One dialogue: the seeker speaks, the recommender shows items, the judge accepts by the target's id alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rarec.errors import LLMError
from rarec.prompt import one_line
from rarec.prompt.text import whole_characters
from rarec.simulation.hidden import Blanked, TitleWords
from rarec.simulation.profile import SeekerProfile, profile_of
from rarec.simulation.records import DialogueRecord, Outcome, TurnRecord
from rarec.simulation.seeker import Seeker
from rarec.simulation.targets import Target, World
from rarec.types import Conversation, Filters, ItemId, Mention, RankedItem, Recommendation, Turn

SAID_CHARS = 600
"""A seeker's message is cut there."""


class Recommends(Protocol):
    """What is put to the test; `rarec.Recommender` is one."""

    async def areply(
        self, conversation: Conversation, *, n: int = ..., filters: Filters | None = ..., words: bool = ...
    ) -> Recommendation: ...


class Dialogue:
    """Runs one target's dialogue.

    The target's id and title stay here. The seeker gets a profile without them, and what it writes is cut to one line
    of `SAID_CHARS` characters and loses every word that gives the title away, before anybody else reads it. Shown
    items are excluded from the next answers, as the seeker refused them.
    """

    def __init__(self, target: Target, world: World, *, recommender: Recommends, seeker: Seeker, n: int) -> None:
        self._target, self._recommender, self._seeker, self._n = target, recommender, seeker, n
        item = world.items[target.item]
        self._hidden = TitleWords(item)
        likes = [world.items[like] for like in target.likes]
        self._profile: SeekerProfile = profile_of(item, world.counts, hidden=self._hidden, likes=likes)
        self._excluded: set[ItemId] = set(target.likes)
        self._conversation = Conversation(id=target.id)
        self._turns: list[TurnRecord] = []

    async def run(self, turns: int, *, world: World, seed: int) -> DialogueRecord:
        """Play at most so many turns.

        Raises:
            RarecError: the recommender failed; a failure of the seeker's language model is an outcome instead.
        """
        outcome, reason = await self._play(turns)
        usage = self._seeker.usage
        return DialogueRecord(
            id=self._target.id,
            cluster=self._target.cluster or self._target.id,
            target=self._target.item,
            band=world.band(self._target.item),
            likes=self._target.likes,
            aspects=len(self._profile.aspects),
            outcome=outcome,
            reason=reason,
            turns=tuple(self._turns),
            popularity_rank=world.popularity_rank(self._target),
            random_rank=world.random_rank(self._target, seed=seed),
            seeker_calls=usage.calls,
            seeker_prompt_tokens=usage.prompt_tokens,
            seeker_completion_tokens=usage.completion_tokens,
        )

    async def _play(self, turns: int) -> tuple[Outcome, str]:
        answer: Recommendation | None = None
        for _ in range(turns):
            try:
                said = await self._said(answer)
            except LLMError as error:
                return "failed", one_line(f"{type(error).__name__}: {error}", limit=300)
            answer = await self._answered(said.text, blanked=said.words)
            if self._target.item in {ranked.item.id for ranked in answer.items[: self._n]}:
                return "accepted", ""
        return "not found", ""

    async def _said(self, answer: Recommendation | None) -> Blanked:
        if answer is None:
            text = await self._seeker.first(self._profile)
        else:
            text = await self._seeker.answer(self._profile, self._conversation.turns, answer)
        return self._hidden.blank(one_line(text, limit=SAID_CHARS))

    async def _answered(self, said: str, *, blanked: int) -> Recommendation:
        asked = Conversation((*self._conversation.turns, Turn("user", said)), id=self._target.id)
        filters = Filters(exclude=frozenset(self._excluded))
        answer = await self._recommender.areply(asked, n=self._n, filters=filters, words=False)
        shown = answer.items[: self._n]
        reply = Turn("assistant", answer.reply, _named(answer.reply, shown))
        self._conversation = Conversation((*asked.turns, reply), id=self._target.id)
        self._excluded.update(ranked.item.id for ranked in shown)
        self._turns.append(
            TurnRecord(
                said=said,
                blanked=blanked,
                shown=tuple(ranked.item.id for ranked in shown),
                reply=whole_characters(answer.reply),
                degraded=answer.degraded,
                calls=answer.usage.calls,
                prompt_tokens=answer.usage.prompt_tokens,
                completion_tokens=answer.usage.completion_tokens,
            )
        )
        return answer


def _named(reply: str, shown: Sequence[RankedItem]) -> tuple[Mention, ...]:
    """The shown items that the reply names, in order of appearance, as in a chat; a longer title goes first."""
    found: list[Mention] = []
    taken: set[int] = set()
    for ranked in sorted(shown, key=lambda r: -len(r.item.title)):
        start = reply.find(ranked.item.title)
        span = range(start, start + len(ranked.item.title))
        if start >= 0 and taken.isdisjoint(span):
            taken.update(span)
            found.append(Mention(ranked.item.id, span=(span.start, span.stop)))
    return tuple(sorted(found, key=lambda mention: mention.span or (0, 0)))
