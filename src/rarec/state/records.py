"""The nouns of the service's database, and how they lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from rarec.errors import InputError
from rarec.llm.budget import Spend
from rarec.state.stored import check_name
from rarec.types import ItemId, Mention, Role

Kind = Literal["shown", "click", "like", "refuse", "seen", "clear"]
Scope = Literal["request", "session", "key", "day"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SCOPES: tuple[Scope, ...] = get_args(Scope)

_MOST_COUNT = 2**62
"""Sums stay within 64 bits."""
_NOTHING = Spend()
ALL = ItemId("")
"""What an event names that is about all items of its turn."""


class Ceiling(BaseModel):
    """The most that may be spent; None is no ceiling.

    Attributes:
        calls: of a language model.
        tokens: read and written.
        usd: US dollars.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    calls: int | None = Field(default=None, ge=0, le=_MOST_COUNT)
    tokens: int | None = Field(default=None, ge=0, le=_MOST_COUNT)
    usd: float | None = Field(default=None, ge=0, le=1_000_000)


class Limits(BaseModel):
    """The ceilings of one key: for each of its requests, sessions and days (UTC), and over all its life."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: Ceiling = Ceiling()
    session: Ceiling = Ceiling()
    key: Ceiling = Ceiling()
    day: Ceiling = Ceiling()


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret, which is kept nowhere.

    Attributes:
        admin: it may look at everything and switch bundles.
    """

    id: str
    name: str
    created: datetime
    revoked: datetime | None
    limits: Limits
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation of one key."""

    id: str
    key: str
    created: datetime
    used: datetime


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One line of an answer, as it was shown.

    Attributes:
        retriever_rank: 1-based place in the retriever's own order.
    """

    item: ItemId
    score: float = 0.0
    why: str = ""
    retriever_rank: int = 1


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn to be written.

    Attributes:
        mentions: as `rarec.types.Turn.mentions`; None is not linked.
        items: what was shown, in its order; distinct.
        filters: what the answer had to pass, as a document.
        trace: linked mentions, candidates with score and rank of the model, whatever explains the answer; a document.
        timings_ms: stage -> milliseconds.
        spend: what its calls of the model took.
        bundle: hash of the bundle that answered.
    Raises:
        InputError: an item comes twice.
    """

    role: Role
    text: str
    mentions: tuple[Mention, ...] | None = None
    items: tuple[ShownItem, ...] = ()
    filters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trace: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timings_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    spend: Spend = _NOTHING
    model: str = ""
    degraded: bool = False
    reason: str = ""
    bundle: str = ""

    def __post_init__(self) -> None:
        if len({shown.item for shown in self.items}) < len(self.items):
            raise InputError("an item is shown twice in one turn; show each once")


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it was written, the `number`-th of its session, counted from 1."""

    number: int
    created: datetime
    turn: NewTurn


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody did with an item of an answer.

    Attributes:
        id: chosen by the client, 1 to 128 characters; sent again it changes nothing.
        turn: number of the turn that showed the item.
        kind: `shown` and `seen` (known already) are kept and are no verdict; `clear` takes like, refuse and seen back.
        item: among those that the turn shows; empty only for `shown`: all of them.
        at: when, by the client's clock; None if it does not say.
    Raises:
        InputError: an id, a kind or an item that cannot be.
    """

    id: str
    session: str
    turn: int
    kind: Kind
    item: ItemId = ALL
    at: datetime | None = None

    def __post_init__(self) -> None:
        check_name(self.id, "the id of an event")
        if self.kind not in KINDS:
            raise InputError(f"the kind of the event {self.id!r} is {self.kind!r}; it is one of {', '.join(KINDS)}")
        if not 1 <= self.turn < 2**31:
            raise InputError(f"the event {self.id!r} is about turn {self.turn}; turns count from 1")
        if not self.item and self.kind != "shown":
            raise InputError(f"the event {self.id!r} ({self.kind}) names no item; name one that was shown")
        if self.at is not None and self.at.tzinfo is None:
            raise InputError(f"the time of the event {self.id!r} has no zone; write it as 2026-11-20T18:30:00Z")


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A part of all sessions; `next` is given to see what follows, None at the end."""

    sessions: tuple[Session, ...]
    next: str | None
