"""What a request for recommendations looks like, and its answer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from rarec.service.documents import FILTERS_EXAMPLE, WORDS, FiltersIn, HeldOut, Strict, Text, Without
from rarec.service.item_documents import ItemOut
from rarec.types import Role, Sentiment


class TurnIn(Strict):
    """One message."""

    role: Role = Field(description="`user` is the one who looks for something, `assistant` the recommender.")
    content: Text


class KnownItem(Strict):
    """An item that the user knows."""

    id: Text
    sentiment: Sentiment = "mentioned"


class RecommendIn(Strict):
    """A conversation, a history of items, or both; without any of them the answer is a mix to start with."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"messages": [{"role": "user", "content": "Something calm for the evening?"}], "n": 5},
                {"history": [{"id": "tea-7", "sentiment": "liked"}], "filters": {"year_min": 2000}},
            ]
        }
    )

    messages: list[TurnIn] = Field(default=[], description="In order; the last one is answered.")
    history: list[KnownItem | Text] = Field(
        default=[], description="Items the user knows, oldest first: ids or objects."
    )
    filters: FiltersIn = Field(default=FiltersIn(), examples=[FILTERS_EXAMPLE])
    n: int = Field(default=10, ge=1, description="How many items; at most serve.max_n.")
    words: bool = WORDS
    without: Without = Field(default=[])


class RankedOut(ItemOut):
    """One line of an answer."""

    rank: int = Field(description="1 is the best.")
    score: float = Field(description="The retriever's score: higher is better, no fixed range.")
    why: str = Field(description="One sentence for the user; may be empty.")
    retriever_rank: int = Field(description="Place in the retriever's own order, from 1.")


class MentionOut(BaseModel):
    """An item that was found in the conversation; it is not recommended."""

    item: str
    sentiment: Sentiment
    span: tuple[int, int] | None = Field(description="Where in its message: first and last character + 1.")


class UsageOut(BaseModel):
    """What the language model consumed."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


class ReportOut(BaseModel):
    """What had to be repaired in the model's answer."""

    missing: int
    repeated: int
    unknown: int
    malformed: bool
    repaired: bool


class RecommendOut(BaseModel):
    """An answer: every item is in the catalogue, passes the filters, and was not mentioned before."""

    items: list[RankedOut]
    reply: str
    mentions: list[MentionOut]
    usage: UsageOut
    timings_ms: dict[str, float] = Field(
        description="Stage -> milliseconds: words (where a model read them), link, embed, retrieve, llm, total."
    )
    report: ReportOut
    degraded: bool = Field(description="No language model took part; the order is the retriever's.")
    reason: str = Field(description="Why it is degraded, else empty.")
    model: str
    filters: HeldOut
