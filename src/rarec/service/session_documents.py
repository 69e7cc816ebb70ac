"""What requests about sessions and feedback look like, and their answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from rarec.service.documents import Strict, Text
from rarec.state import Kind

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _sensible(moment: datetime) -> datetime:
    if not _FIRST <= moment <= _LAST:
        raise ValueError("must be a time between 1970 and 2200")
    return moment


class SessionOut(BaseModel):
    """A session."""

    id: str
    created_at: str
    used_at: str
    turns: int


class SessionLineOut(SessionOut):
    """A session in a list."""

    title: str = Field(description="Beginning of the first message.")


class SessionsOut(BaseModel):
    """The newest sessions of the caller's key."""

    sessions: list[SessionLineOut]


class ExportOut(BaseModel):
    """All that is kept of a session."""

    format: int
    session: str
    created: str
    used: str
    turns: list[dict[str, Any]] = Field(description="In order; each with its number, role, text, items, trace ...")
    events: list[dict[str, Any]] = Field(description="What was done with items.")


class TraceOut(BaseModel):
    """Why an answer is what it is; of a turn of the user hardly anything is filled in."""

    mentions: list[dict[str, Any]] = Field(default=[], description="id, title, sentiment, span, turn.")
    candidates: list[dict[str, Any]] = Field(
        default=[], description="id, title, retriever_rank, retriever_score, llm_rank (or null), shown."
    )
    filters: dict[str, Any]
    timings_ms: dict[str, float]
    usage: dict[str, int] = {}
    cost: dict[str, float]
    cached: bool = False
    model: str
    bundle: str = Field(description="sha256 of the retriever's weights.")
    degraded: bool
    reason: str
    report: dict[str, Any] = {}


class TurnOut(BaseModel):
    """A turn as it is kept, with its trace."""

    model_config = ConfigDict(extra="allow")

    number: int
    created: str
    role: str
    text: str
    items: list[dict[str, Any]]
    trace: TraceOut


class EventIn(Strict):
    """Something that somebody did with an item of an answer."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "e1", "session": "SESSION", "turn": 2, "item": "tea-7", "kind": "like"}]}
    )

    id: Text = Field(min_length=1, max_length=128, description="Made by the client; sent again it changes nothing.")
    session: Text = Field(min_length=1, max_length=128)
    turn: int = Field(ge=1, lt=2**31, description="Number of the answer that showed the item.")
    item: Text = Field(default="", description="Its id; empty for all items of the turn, with `shown` only.")
    kind: Kind = Field(description="`clear` takes like, refuse and seen back.")
    at: Annotated[AwareDatetime, AfterValidator(_sensible), Field(strict=False)] | None = Field(
        default=None, description="When, by the client's clock."
    )


class FeedbackIn(Strict):
    """Events; all are stored, or none."""

    events: list[EventIn] = Field(description="At most serve.max_batch.")


class FeedbackOut(BaseModel):
    """What became of them; a repeated one stood there already."""

    stored: int
    repeated: int
