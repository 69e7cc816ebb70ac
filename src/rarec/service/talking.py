"""One turn as people have it: what the session holds and what the words ask for before it, what is kept after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rarec.constraints import Bound, Constraints, bounded, eased, understand
from rarec.documents import filters_document
from rarec.errors import StoreError, UnknownSession
from rarec.prompt.naming import named_items
from rarec.service.access import Caller
from rarec.service.logs import log
from rarec.service.money import Payer, TurnModel
from rarec.service.parts import Parts
from rarec.service.problems import Wrong, invalid
from rarec.service.tracing import traced
from rarec.service.turns import Asked, Told, WordsRead, reads
from rarec.state import NewTurn, ShownItem, Talk, add_turns, drop_constraints, read_talk
from rarec.types import Conversation, Filters, ItemId, Mention, Turn


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks, within the limits.

    Attributes:
        session: empty for a conversation that is not kept; else its last message of the user goes on from what the
            session holds, and the others count only while that cannot be read.
        words: what the words ask for is held to.
        bounds: on numbers; they join the filters when the catalogue is looked at.
        without: constraints that were read before and are taken back.
    """

    conversation: Conversation
    n: int
    filters: Filters
    session: str = ""
    words: bool = True
    without: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A question with all that is known.

    Attributes:
        said: the conversation, linked, without what was only felt.
        talk: the session as it was; None without one, and where the database is gone.
        taken_back: ids of what would have been read, and was taken back just now.
        titles: of mentioned items.
        model: who is asked, and pays.
    """

    question: Question
    asked: Asked
    said: Conversation
    read: Constraints
    talk: Talk | None
    titles: Mapping[ItemId, str]
    taken_back: frozenset[str]
    model: TurnModel

    def mentions(self) -> Iterator[tuple[int, Mention]]:
        """What was linked and what was felt, with the numbers of the turns."""
        for number, turn in enumerate(self.said.turns, start=1):
            yield from ((number, mention) for mention in turn.mentions or ())
        for felt in self.talk.felt if self.talk is not None else ():
            if felt.sentiment is not None:
                yield felt.turn, Mention(felt.item, felt.sentiment)

    def filters(self) -> dict[str, Any]:
        """What holds, where it comes from, and what could not be held."""
        turns = self.said.turns
        return {
            "applied": filters_document(self.asked.filters),
            "given": filters_document(self.question.filters),
            "read": [
                {
                    "label": part.label,
                    "words": turns[part.turn].text[slice(*part.span)],
                    "turn": part.turn + 1,
                    "constraint": part.id,
                    "hard": part.hard,
                }
                for part in self.read.parts
            ],
            "unknown": [{"words": one.text, "why": one.why, "turn": one.turn + 1} for one in self.read.unenforced],
            "read_by": self.read.source,
        }


async def begin(parts: Parts, caller: Caller, question: Question) -> Ready:
    """Look at the session and the words.

    Raises:
        UnknownSession: the key has no such session.
        Problem: 422, the session is full.
    """
    talk: Talk | None = None
    if question.session:
        try:
            talk = await parts.database.run(lambda database: read_talk(database, caller.key, question.session))
        except StoreError as error:  # an answer is given all the same, to what the request says alone
            log(40, "a session could not be read", cause=type(error).__name__)
    said = question.conversation
    if talk is not None:
        last = next(turn for turn in reversed(said.turns) if turn.role == "user")
        said = Conversation((*talk.turns, last), talk.id)
        _check_room(parts, said)
    model = TurnModel(parts.books, Payer(caller.key, caller.limits, None if talk is None else talk.id))
    read = await _read_by_model(parts, question, said, model) if parts.settings.words == "llm" else None
    ready = await parts.aside(lambda: _ready(parts, question, said, talk, model, read))
    if talk is not None and ready.taken_back:
        try:
            await parts.database.run(lambda database: drop_constraints(database, caller.key, talk.id, ready.taken_back))
        except StoreError as error:  # it holds for this answer alone
            log(40, "what was taken back could not be kept", cause=type(error).__name__)
    return ready


async def keep(parts: Parts, caller: Caller, ready: Ready, told: Told) -> dict[str, Any]:
    """Write the turn down; what the answer says of that. Two turns of one session at once stand in their order of
    ending."""
    facts: dict[str, Any] = {
        "session": ready.question.session or None, "turn": None, "kept": False, "filters": ready.filters()
    }  # fmt: skip
    talk = ready.talk
    if talk is None:
        return facts
    new = _new_turns(ready, told, facts["filters"])
    try:
        numbers = await parts.database.run(lambda database: add_turns(database, caller.key, talk.id, new))
    except (StoreError, UnknownSession) as error:  # gone, or forgotten while the answer was written
        log(40, "a turn could not be kept", cause=type(error).__name__)
        return facts
    return facts | {"turn": numbers[-1], "kept": True}


async def _read_by_model(parts: Parts, question: Question, said: Conversation, model: TurnModel) -> WordsRead | None:
    """What a model reads; None where nobody is to read, or the model is none that reads."""
    vocabulary, recommender = parts.vocabulary, parts.recommender
    if not question.words or vocabulary is None or not reads(recommender.llm):
        return None
    linked = await parts.aside(lambda: recommender.engine.link(said))
    deadline_s = min(parts.settings.words_s, recommender.settings.recommend.deadline_s / 2)
    return await parts.turns.read(linked, vocabulary, model, deadline_s=deadline_s)


def _ready(
    parts: Parts, question: Question, said: Conversation, talk: Talk | None, model: TurnModel, by: WordsRead | None
) -> Ready:
    engine = parts.recommender.engine
    engine.refresh()
    if question.bounds:
        filters = bounded(question.filters, question.bounds, engine.vocabulary)
        question = replace(question, filters=filters, bounds=())
    linked, vocabulary = engine.link(said), parts.vocabulary
    read = Constraints()
    if by is not None:
        read = by.found
    elif question.words and vocabulary is not None:
        read = understand(linked, vocabulary)
    read = read.without(talk.dropped if talk is not None else ())
    taken_back = frozenset(part.id for part in read.parts) - {part.id for part in read.without(question.without).parts}
    read = read.without(question.without)
    conversation, given = linked, question.filters
    if talk is not None:
        conversation = _with_felt(linked, talk)
        given = replace(given, exclude=given.exclude | {felt.item for felt in talk.felt})
    read = eased(read, linked, on=given, leaves_any=lambda filters: engine.leaves_any(filters, conversation))
    mentioned = dict.fromkeys(mention.item for mention in conversation.mentions())
    titles = {item.id: item.title for item in engine.catalogue.get_many(mentioned, missing="skip")}
    asked = Asked(conversation, question.n, read.on(given), by)
    return Ready(question, asked, linked, read, talk, titles, taken_back, model)


def _with_felt(linked: Conversation, talk: Talk) -> Conversation:
    """Behind each answer what the user said of its items by hand, as a turn without words."""
    turns: list[Turn] = []
    for number, turn in enumerate(linked.turns, start=1):
        turns.append(turn)
        felt = [Mention(f.item, f.sentiment) for f in talk.felt if f.turn == number and f.sentiment is not None]
        if felt:
            turns.append(Turn("user", "", tuple(felt)))
    return replace(linked, turns=tuple(turns))


def _check_room(parts: Parts, said: Conversation) -> None:
    limits = parts.settings
    characters = sum(len(turn.text) for turn in said.turns)
    if len(said.turns) > limits.max_turns or characters > limits.max_characters:
        told = (
            f"has {len(said.turns)} turns and {characters} characters with this one, at most {limits.max_turns} and "
            f"{limits.max_characters} are read; start a new session"
        )
        raise invalid(Wrong("rarec.session", told))


def _new_turns(ready: Ready, told: Told, filters: Mapping[str, Any]) -> Sequence[NewTurn]:
    answer, asked = told.answer, ready.said.turns[-1]
    shown = tuple(ShownItem(r.item.id, r.score, r.why, r.retriever_rank) for r in answer.items)
    return (
        NewTurn(asked.role, asked.text, asked.mentions),
        NewTurn(
            "assistant",
            answer.reply,
            named_items(answer.reply, answer.items),
            shown,
            filters,
            traced(answer, ready.mentions(), ready.titles, cached=told.model.cached),
            answer.timings_ms,
            told.model.spend,
            answer.model,
            answer.degraded,
            answer.reason,
            told.bundle,
        ),
    )
