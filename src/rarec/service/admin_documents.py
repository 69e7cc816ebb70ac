"""What the owner's requests look like, and their answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rarec.service.documents import Strict, Text
from rarec.service.session_documents import TurnOut


class SpendOut(BaseModel):
    """What language models took."""

    calls: int
    tokens: int
    usd: float


class LatencyOut(BaseModel):
    """Of whole turns, the newest 5,000: 50 and 99 in a hundred took no longer."""

    p50: float
    p99: float


class DayOut(BaseModel):
    """One day, in UTC."""

    day: str
    turns: int
    degraded: int
    spend: SpendOut
    likes: int
    refuses: int


class OverviewOut(BaseModel):
    """Figures of all keys together."""

    since: str
    items: int
    sessions: int = Field(description="All that are kept.")
    turns: int
    degraded_share: float
    latency_ms: LatencyOut | None
    spend: SpendOut
    counts_dollars: bool = Field(description="False if an endpoint is asked whose prices are not in the settings.")
    likes: int
    refuses: int
    days: list[DayOut] = Field(description="Days on which something happened, oldest first.")


class OwnedTurnOut(TurnOut):
    """An answer, and whose it is."""

    session: str
    key: str


class TurnsOut(BaseModel):
    """The last answers."""

    turns: list[OwnedTurnOut]


class CandidateOut(BaseModel):
    """A bundle that lies in the store."""

    bundle: str
    weights: str = Field(description="sha256 of the retriever's weights; empty if it cannot be read.")
    live: bool


class BundlesOut(BaseModel):
    """`serving` is what answers now; it follows `live` within moments."""

    live: str
    serving: str
    before: list[str]
    candidates: list[CandidateOut]
    log: list[dict[str, Any]] = Field(description="Decisions and switches, the newest first.")


class PromoteIn(Strict):
    """Which bundle is to be live."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"bundle": "bundles/0001-0123456789ab"}]})

    bundle: Text = Field(max_length=200, description="As `candidates` of /v1/admin/bundles names it.")


class SwitchOut(BaseModel):
    """What was live, and what is."""

    was: str
    live: str
