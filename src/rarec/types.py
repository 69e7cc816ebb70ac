"""The nouns that rooms exchange. This module imports nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NewType

ItemId = NewType("ItemId", str)

Role = Literal["user", "assistant"]
"""Who wrote a turn: `user` is the seeker, `assistant` the recommender."""

Sentiment = Literal["liked", "disliked", "mentioned"]
"""What the user is known to feel about a mentioned item; `mentioned` means unknown."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be recommended.

    Attributes:
        id: unique in its catalogue, not empty.
        title: what people call it, not empty.
        text: free description; may be empty.
        year: of release or publication; None when unknown.
        attributes: name -> values, always a tuple of strings, e.g. ``{"genres": ("Drama",)}``.
        popularity: any non-negative scale (votes, sales, 0-100); only its order within the catalogue matters.
    """

    id: ItemId
    title: str
    text: str = ""
    year: int | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    popularity: float = 0.0


LINK = "url"
"""The attribute that holds an item's own page; it is followed by people, and read by no embedder and no model."""


@dataclass(frozen=True, slots=True)
class Mention:
    """An item that a turn speaks of.

    Attributes:
        span: (start, end) character offsets in the turn's text, or None if they are not known.
    """

    item: ItemId
    sentiment: Sentiment = "mentioned"
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation.

    Attributes:
        mentions: the items it speaks of, in order of appearance. None means *not linked yet* (a linker
            may fill it in); an empty tuple means that there are none.
    """

    role: Role
    text: str
    mentions: tuple[Mention, ...] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order; may be empty. `id` names it in logs, splits and seeds; it may be empty."""

    turns: tuple[Turn, ...] = ()
    id: str = ""

    def mentions(self) -> tuple[Mention, ...]:
        """Every linked mention in order, repeated ones included."""
        return tuple(m for t in self.turns for m in t.mentions or ())


@dataclass(frozen=True, slots=True)
class Filters:
    """What an answer may contain. The empty value allows everything.

    Attributes:
        any_of: attribute -> allowed values; an item passes if it has at least one of them, compared
            without case. Several attributes must all pass.
        none_of: attribute -> refused values; an item that has one of them is out.
        all_of: attribute -> required values; an item passes if it has every one of them.
        year_min, year_max: inclusive; an item without a year fails a filter on years.
        exclude: ids that must not be returned.
    """

    any_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    none_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    year_min: int | None = None
    year_max: int | None = None
    exclude: frozenset[ItemId] = frozenset()
    all_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item proposed by the retriever, with its score (higher is better, no fixed range)."""

    item: Item
    score: float


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message as a language model sees it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class RankingTask:
    """What a prompt asks, in structured form; candidate number i + 1 is `candidates[i]`.

    Attributes:
        conversation: with its mentions linked.
        mentioned: the catalogue items that the conversation mentions, by id.
        candidates: in the order in which they are shown.
        n: how many items the answer should rank, 1 <= n <= len(candidates).
    """

    conversation: Conversation
    mentioned: Mapping[ItemId, Item]
    candidates: tuple[Candidate, ...]
    n: int


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One call to a language model.

    Attributes:
        messages: the prompt; what a remote model reads.
        schema: JSON schema that the answer should obey, or None for free text.
        deadline_s: wall-clock seconds for the whole call, retries included; > 0.
        task: the same question in structured form, for models that run in this process. A remote
            model never receives it.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 800
    temperature: float = 0.0
    deadline_s: float = 20.0
    task: RankingTask | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call consumed; zeros where the provider does not say."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """A language model's answer: untrusted text."""

    text: str
    model: str
    usage: Usage = Usage()
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ParseReport:
    """What had to be repaired in a model's ranking.

    Attributes:
        missing: how many of the n asked places the model left empty (filled from the retriever's order).
        repeated: how many numbers it gave again (dropped).
        unknown: how many entries were not a number that was offered (dropped).
        malformed: the text was not the JSON that was asked for; what could be read was read.
    """

    missing: int = 0
    repeated: int = 0
    unknown: int = 0
    malformed: bool = False

    @property
    def repaired(self) -> bool:
        """Whether the ranking is not exactly what the model wrote."""
        return self.malformed or bool(self.missing or self.repeated or self.unknown)


@dataclass(frozen=True, slots=True)
class RankedItem:
    """One line of an answer.

    Attributes:
        score: the retriever's score.
        why: one sentence for the user; may be empty.
        retriever_rank: 1-based place in the retriever's own order.
    """

    item: Item
    score: float
    why: str
    retriever_rank: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The answer to one turn.

    Attributes:
        items: best first; every one is in the catalogue, passes the filters, and was neither mentioned
            nor refused. Shorter than asked only if the catalogue or the filters leave no more.
        reply: text for the user.
        mentions: what the linker found in the conversation.
        timings_ms: stage -> wall milliseconds: words (where they are read), link, embed, retrieve, llm, total.
        degraded: the language model did not take part; `items` is the retriever's order.
        reason: why it is degraded, else empty.
        candidates: what the retriever proposed, in its order.
    """

    items: tuple[RankedItem, ...]
    reply: str
    mentions: tuple[Mention, ...]
    usage: Usage
    timings_ms: Mapping[str, float]
    report: ParseReport
    degraded: bool = False
    reason: str = ""
    model: str = ""
    candidates: tuple[Candidate, ...] = ()
